//! Which of the runtime's kernels may run.
use std::sync::Once;
use tract_onnx::tract_core::knobs::set_config_global;

/// What the runtime does not use of the machine: the setting of tract's that says so, and its value.
///
/// The int8 kernels for Intel's AMX (tract 0.23.9) load tiles of 64 rows of the right operand, which
/// is padded to a multiple of 4 rows: they read up to 960 bytes behind its end. What they read is
/// multiplied by zero, but where the memory ends there the process dies.
const EXCLUDED: Option<(&str, &str)> =
    if cfg!(target_arch = "x86_64") { Some(("TRACT_CPU_ISA", "-amx-int8")) } else { None };

/// Keeps the runtime off kernels that are not safe to run. The environment still has the last word.
///
/// To be called before the runtime looks at the machine, which it does once.
pub(crate) fn choose() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some((name, value)) = EXCLUDED {
            // Refused only if the embedding process has configured the same setting already.
            let _ = set_config_global(name, value);
        }
    });
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use tract_onnx::tract_core::internal::tract_linalg::isa::{Isa, native};

    #[test]
    fn the_tile_kernels_are_off() {
        choose();
        assert!(!native().has(Isa::X86_64AmxInt8), "{:?}", native());
        assert!(native().has(Isa::X86_64), "{:?}", native());
    }
}
