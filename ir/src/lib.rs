//! The graph of an ONNX model: values, shapes, patterns, patches, validation, text.
