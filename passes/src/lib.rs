//! The passes: eliminate, fold, fuse, quantize, prune.
