//! ONNX wire types: zero-copy reading, streaming writing, external data, limits.
