//! Pruning by gradients that PyTorch computed.
use crate::program::{fixture, lapidary, run_on};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// Three convolutions of 8, 8 and 12 channels, each followed by a normalization.
const MODEL: &str = "digits_cnn_unfused_op17";

const GRADIENTS: [(&str, &str); 2] =
    [("taylor", "fixtures/digits_cnn_taylor.npz"), ("fisher", "fixtures/digits_cnn_fisher.npz")];

const DATA: [&str; 4] = ["--data", "fixtures/digits_calib.npz", "--samples", "32"];

/// What the channels of every weight are worth, by name: |Σ w·g| of a channel c over its slice, or of n samples
/// 1/n Σ (Σ w·g)².
fn worth(importance: &str, gradients: &str) -> BTreeMap<String, Vec<f64>> {
    let model = lapidary::open(&fixture(&format!("{MODEL}.onnx")), &Default::default()).unwrap();
    let gradients = lapidary::read_gradients(Path::new(gradients)).unwrap();
    let mut found = BTreeMap::new();
    for (id, weight) in model.model.graph.initializers() {
        let name = model.model.graph.value(id).name();
        let Some(gradient) = gradients.get(name) else { continue };
        let (weight, gradient) = (weight.to_f32().unwrap(), gradient.to_f32().unwrap());
        let channels = if name == "features.6.weight" { 12 } else { 8 };
        let slice = weight.len() / channels;
        let samples = gradient.len() / weight.len();
        let product = |sample: usize, channel: usize| -> f64 {
            let elements = channel * slice..(channel + 1) * slice;
            let of_sample = &gradient[sample * weight.len()..];
            elements.map(|at| f64::from(weight[at]) * f64::from(of_sample[at])).sum()
        };
        let of = |channel: usize| match importance {
            "taylor" => product(0, channel).abs(),
            _ => (0..samples).map(|n| product(n, channel).powi(2)).sum::<f64>() / samples as f64,
        };
        found.insert(name.to_owned(), (0..channels).map(of).collect());
    }
    found
}

/// The channels that are worth most when at most a share of them goes, ascending.
fn most(worth: &[f64], ratio: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..worth.len()).collect();
    order.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]));
    order.truncate(worth.len() - (ratio * worth.len() as f64) as usize);
    order.sort_unstable();
    order
}

/// Prunes; the channels that every convolution keeps, by the name of its weight, and the accuracy that is left.
fn pruned(ratio: f64, options: &[&str]) -> (BTreeMap<String, Vec<usize>>, f64) {
    let folder = tempdir().unwrap();
    let (out, list) = (folder.path().join("p.onnx"), folder.path().join("keep.json"));
    let ratio = ratio.to_string();
    let always = ["--ratio", &ratio, "--test", "fixtures/digits_test.npz", "--write-keep"];
    let plain: &[&str] = if options.contains(&"--data") { &[] } else { &["--no-mean-replacement"] };
    let all = [&always[..], &[list.to_str().unwrap()], options, plain].concat();
    let run = run_on("prune", MODEL, &out, &all).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let accuracy = report["steps"].as_array().unwrap().last().unwrap()["accuracy"].as_f64();
    let written: Value = serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap();
    let mut kept = BTreeMap::new();
    for weight in written["weights"].as_array().unwrap() {
        let name = weight["name"].as_str().unwrap();
        if weight["axis"] == 0
            && ["0", "3", "6"].map(|n| format!("features.{n}.weight")).contains(&name.into())
        {
            let keep = weight["keep"].as_array().unwrap().iter();
            kept.insert(name.to_owned(), keep.map(|n| n.as_u64().unwrap() as usize).collect());
        }
    }
    (kept, accuracy.unwrap())
}

#[test]
fn the_channels_that_gradients_call_worth_least_go() {
    for (importance, file) in GRADIENTS {
        let worth = worth(importance, file);
        assert_eq!(worth.len(), 3, "every convolution has gradients");
        let options = ["--importance", importance, "--gradients", file];
        let expected = |ratio: f64| -> BTreeMap<String, Vec<usize>> {
            let most = |(name, worth): (&String, &Vec<f64>)| (name.clone(), most(worth, ratio));
            worth.iter().map(most).collect()
        };
        for ratio in [0.15, 0.5] {
            let (kept, _) = pruned(ratio, &options);
            assert_eq!(kept, expected(ratio), "{importance} {ratio}");
        }
        // The same go where those that stay make up for them.
        let (cut, left) = pruned(0.25, &options);
        let (fitted, most) = pruned(0.25, &[&options[..], &DATA].concat());
        assert_eq!((&cut, &fitted), (&expected(0.25), &expected(0.25)), "{importance}");
        assert!(most > left, "{importance}: {most} {left}");
    }
}

#[test]
fn gradients_keep_more_accuracy_than_chance() {
    for (ratio, least) in [(0.15, 0.3), (0.25, 0.05)] {
        let seeds = ["0", "1", "2", "3", "4"];
        let random = |seed| pruned(ratio, &["--importance", "random", "--seed", seed]).1;
        let chance = seeds.map(random).iter().sum::<f64>() / seeds.len() as f64;
        for (importance, file) in GRADIENTS {
            let options = ["--importance", importance, "--gradients", file];
            let (_, accuracy) = pruned(ratio, &options);
            assert!(accuracy > chance + least, "{importance} {ratio}: {accuracy}, random {chance}");
        }
    }
}

#[test]
fn gradients_that_do_not_fit_are_refused() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let refused = |name: &str, options: &[&str]| {
        let model = fixture(&format!("{name}.onnx"));
        let always = ["prune", model.to_str().unwrap(), "-o", out.to_str().unwrap()];
        let all = always.into_iter().chain(["--ratio", "0.5", "--importance"]);
        lapidary(all.chain(options.iter().copied())).fails_with(2, folder.path())
    };
    let [(_, taylor), (_, fisher)] = GRADIENTS;
    let stacked = refused(MODEL, &["taylor", "--gradients", fisher]);
    assert!(
        stacked.contains("has dimensions [12, 8, 1, 3, 3], expected [8, 1, 3, 3]"),
        "{stacked}"
    );
    let others = refused("digits_resnet_unfused_op17", &["fisher", "--gradients", taylor]);
    assert!(others.contains("there are no gradients of"), "{others}");
    let without = refused(MODEL, &["l2", "--gradients", taylor]);
    assert!(without.contains("does not look at gradients"), "{without}");
    assert!(!out.exists());
}
