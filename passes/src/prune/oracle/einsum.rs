//! Products written as equations.
use super::At::{Readers, Source};
use super::refusals::reasons;
use super::removes_exactly;

const BOTH: &[super::At] = &[Source, Readers];

#[test]
fn letters_are_made_and_read() {
    let found = removes_exactly(
        "g (float[2,5,3] x) => (float[2,5,4] y) <float[3,8] w1, float[8] s, float[4,8] w2> {
            a = Einsum<equation = \"bti,io->bto\">(x, w1)
            b = Einsum<equation = \"bto,o->bto\">(a, s)
            c = Relu(b)
            y = Einsum<equation = \"bto, po -> btp\">(c, w2)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 8 of 8\ny: 0 of 4");
}

#[test]
fn heads_of_attention_are_letters() {
    let found = removes_exactly(
        "g (float[2,5,6] x) => (float[2,5,6] y)
        <float[6,3,4] wq, float[6,3,4] wk, float[6,3,4] wv, float[3,4,6] wo> {
            q = Einsum<equation = \"btm,mhd->bhtd\">(x, wq)
            k = Einsum<equation = \"bsm,mhd->bhsd\">(x, wk)
            v = Einsum<equation = \"bsm,mhe->bhse\">(x, wv)
            s = Einsum<equation = \"bhtd,bhsd->bhts\">(q, k)
            p = Softmax(s)
            c = Einsum<equation = \"bhts,bhse->bhte\">(p, v)
            y = Einsum<equation = \"bhte,hem->btm\">(c, wo)
        }",
        &[Source],
    );
    assert_eq!(found, "q, k: 4 of 4\nq, k, v: 3 of 3\nv: 4 of 4\ny: 0 of 6");
}

#[test]
fn an_ellipsis_broadcasts() {
    let found = removes_exactly(
        "g (float[2,3,5] x) => (float[2,4,5] y) <float[6,3] w1, float[6,5] s, float[4,6] w2> {
            a = Einsum<equation = \"oc,bct->bot\">(w1, x)
            b = Einsum<equation = \"...,...->...\">(a, s)
            y = Einsum<equation = \"oc,bct->bot\">(w2, b)
        }",
        BOTH,
    );
    assert_eq!(found, "a: 6 of 6\ny: 0 of 4");
}

#[test]
fn a_sum_over_a_letter_of_one_operand_is_exact_without_zeros() {
    let found = removes_exactly(
        "g (float[2,3,4,4] x) => (float[2,4,4] y) <float[6,3,1,1] w> {
            a = Conv(x, w)
            y = Einsum<equation = \"bchw->bhw\">(a)
        }",
        &[Source],
    );
    assert_eq!(found, "a: 6 of 6");
}

#[test]
fn equations_that_are_not_understood_stop() {
    let found = reasons(
        "g (float[2,3,4,4] x) => (float[2,6,4,4] y) <float[6,3,1,1] w0> {
            a = Conv(x, w0)
            y = Einsum<equation = \"bchw->b?hw\">(a)
        }",
    );
    assert!(found.contains("`y` (Einsum) has an equation or shapes"), "{found}");
}
