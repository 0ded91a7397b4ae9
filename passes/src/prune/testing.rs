//! Models that several tests of pruning share.
use crate::testing::model;
use lapidary_ir::Model;

/// Two grouped products behind one that reads the input, and a classifier that has to stay.
pub(super) fn grouped() -> Model {
    model(
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y)
        <float[6,2,1,1] w, float[6,3,1,1] u, float[2,6,1,1] v>
        {
            a = Conv(x, w)
            b = Conv<group = 2>(a, u)
            y = Conv(b, v)
        }",
    )
}
