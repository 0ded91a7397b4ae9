//! Runs an ONNX model in tract and collects statistics while it runs.
