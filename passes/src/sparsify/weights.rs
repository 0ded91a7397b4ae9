//! Sparsity as a pass.
use super::error::SparsifyError;
use super::options::SparsifyOptions;
use super::solve::sparsify;
use crate::{Context, Pass, PassError, PassInfo, pass};
use lapidary_ir::Model;

pass! {
    /// Sets weights of convolutions and matrix products to zero.
    ///
    /// The least of each weight by magnitude, or at random; by what they multiply on samples (Wanda), with what stays making
    /// up for what went (SparseGPT); or as masks say. Single ones, N of M along the input channels such as 2:4, or blocks.
    /// The graph stays as it is, and so does the size of the file until it is compressed.
    ///
    /// ```onnx
    /// g (float[1,4] x) => (float[1,2] y)
    /// <float[4,2] w = {4, 1, -3, -2, 2, 8, 1, 7}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,4] x) => (float[1,2] y)
    /// <float[4,2] w = {4, 0, -3, 0, 0, 8, 0, 7}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    pub struct SparsifyWeights {
        /// What the caller decides.
        pub options: SparsifyOptions,
    }
    name: "sparsify-weights",
    accuracy: Lossy,
    emits: [],
}

impl Pass for SparsifyWeights {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let done = sparsify(model, None, &self.options);
        let record = context.record(&Self::INFO);
        match done {
            Ok(done) => {
                record.rewrites += done.weights.iter().filter(|weight| weight.changed).count();
                for (reason, nodes) in done.left {
                    nodes.iter().for_each(|_| record.skip(reason.clone()));
                }
            }
            Err(SparsifyError::Pass(fault)) => return Err(fault),
            Err(refused) => record.skip(refused.to_string()),
        }
        Ok(())
    }
}
