//! Pruning to a target.
use crate::program::{fixture, lapidary, run_on};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn last_step(report: &Value) -> &Value {
    report["steps"].as_array().unwrap().last().unwrap()
}

#[test]
fn half_of_the_multiplications_go_and_the_accuracy_stays() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_mobilenetv2_unfused_op17";
    let options = [
        "--macs",
        "0.5",
        "--data",
        "fixtures/digits_calib.npz",
        "--samples",
        "64",
        "--test",
        "fixtures/digits_test.npz",
    ];
    let run = run_on("prune", name, &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let (first, last) = (&report["steps"][0], last_step(&report));
    let share = last["macs"].as_f64().unwrap() / first["macs"].as_f64().unwrap();
    assert!(share <= 0.5 && share > 0.495, "{name} keeps {share}");
    assert_eq!(report["pruning"]["reached"].as_f64().unwrap(), share);
    let options = ["--ratio", "0.3", "--test", "fixtures/digits_test.npz"];
    let run = run_on("prune", name, &out, &options).succeeds();
    let uniform: Value = serde_json::from_str(&run.stdout).unwrap();
    let uniform = last_step(&uniform);
    assert!(uniform["macs"].as_u64() > last["macs"].as_u64(), "{name}: the uniform one is larger");
    let accuracy = |step: &Value| step["accuracy"].as_f64().unwrap();
    assert!(accuracy(last) >= accuracy(first) - 0.02, "{name}: {}", accuracy(last));
    assert!(accuracy(last) > accuracy(uniform) + 0.3, "{name}: {}", accuracy(uniform));
}

#[test]
fn parameters_and_bytes_are_targets_too() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let size = fs::metadata(&model).unwrap().len() as f64;
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "16"];
    let run = run_on(
        "prune",
        "digits_mobilenetv2_unfused_op17",
        &out,
        &[&["--bytes", "0.6"][..], &data].concat(),
    );
    run.succeeds();
    let share = fs::metadata(&out).unwrap().len() as f64 / size;
    // Optimizing what is left takes off a little more.
    assert!(share <= 0.601 && share > 0.53, "{share}");
    let options = [&["--parameters", "0.6", "--min-channels", "8"][..], &data].concat();
    let run = run_on("prune", "digits_mobilenetv2_unfused_op17", &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let parameters = |step: &Value| step["parameters"].as_f64().unwrap();
    let share = parameters(last_step(&report)) / parameters(&report["steps"][0]);
    assert!(share <= 0.6 && share > 0.52, "{share}");
    let groups = report["pruning"]["groups"].as_array().unwrap();
    assert!(groups.iter().all(|group| group["kept"].as_u64() >= Some(8)));
}

#[test]
fn a_target_out_of_reach_is_refused() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let run = lapidary([
        "prune",
        model.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--macs",
        "0.0001",
        "--data",
        "fixtures/digits_calib.npz",
        "--samples",
        "4",
    ]);
    let message = run.fails_with(1, folder.path());
    assert!(message.contains("0.000 of the MACs can't be reached"), "{message}");
    assert!(!out.exists());
}

#[test]
fn two_targets_are_refused() {
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let model = model.to_str().unwrap();
    for other in ["--parameters", "--bytes", "--ratio"] {
        let arguments = ["prune", model, "-o", "none.onnx", "--macs", "0.5", other, "0.5"];
        lapidary(arguments).fails_with(2, std::path::Path::new("none"));
    }
}

#[test]
fn options_without_effect_are_refused() {
    let model = fixture("digits_mobilenetv2_unfused_op17.onnx");
    let model = model.to_str().unwrap();
    let refused = |options: &str| {
        let arguments = ["prune", model, "-o", "none.onnx"].into_iter();
        lapidary(arguments.chain(options.split(' '))).fails_with(2, std::path::Path::new("none"))
    };
    for (options, why) in [
        ("--ratio 0.1 --importance wanda", "needs samples"),
        ("--ratio 0.1 --importance taylor", "needs gradients"),
        ("--ratio 0.1 --steps 2", "nothing changes between rounds"),
        ("--ratio 0.1 --scope measured", "losses are measured to meet a target"),
        ("--amount 2 --scope global", "is no ranking over groups"),
        ("--macs 0.5 --scope global", "does not compare channels of different groups"),
        ("--macs 0.5 --no-optimize", "in the optimized model only"),
        ("--macs 0.5 --reduction max", "do not put together"),
        ("--macs 0.5 --no-mean-replacement", "the products are fitted"),
        ("--ratio 0.1 --seed 3", "leaves nothing to chance"),
        ("--ratio 0.1 --importance l1 --seed 0", "leaves nothing to chance"),
        ("--ratio 0.1 --ignore nobody", "is selected by `nobody`"),
        ("--ratio 0.1 --layer-ratio nobody=0.5", "is selected by `nobody`"),
    ] {
        let message = refused(options);
        assert!(message.contains(why), "{options}: {message}");
    }
    let plan = lapidary(["prune", model, "--plan", "--importance", "l1"]);
    plan.fails_with(2, std::path::Path::new("none"));
}

#[test]
fn means_of_what_goes_are_put_into_biases_where_nothing_else_makes_up_for_it() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let run = |name: &str, options: &str| {
        let options: Vec<&str> = options.split(' ').collect();
        let run = run_on("prune", name, &out, &options).succeeds();
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let test = "--test fixtures/digits_test.npz";
    for name in ["digits_resnet_unfused_op17", "digits_mobilenetv2_unfused_op17"] {
        for ratio in ["0.1", "0.2"] {
            let with = run(name, &format!("--ratio {ratio} {test}"));
            let without = run(name, &format!("--ratio {ratio} --no-mean-replacement {test}"));
            let means = &with["pruning"]["mean_replacement"];
            assert!(without["pruning"]["mean_replacement"].is_null());
            assert!(means["replaced"].as_u64() > Some(0), "{means}");
            assert_eq!(means["replaced"], means["removed"], "{means}");
            assert!(!means["products"].as_array().unwrap().is_empty());
            assert_eq!(last_step(&with)["macs"], last_step(&without)["macs"]);
            let sqnr =
                |report: &Value| last_step(report)["outputs"][0]["sqnr_db"].as_f64().unwrap();
            assert!(sqnr(&with) > sqnr(&without), "{name} {ratio}: {means}");
        }
    }
    // Normalizations that are folded tell nothing.
    let folded = run("digits_resnet_dynamo_op18", "--ratio 0.2");
    let means = &folded["pruning"]["mean_replacement"];
    assert_eq!(means["replaced"], 0);
    let left = &means["left"][0];
    assert_eq!(left["reason"], "no normalization tells the mean of what Conv makes");
    assert_eq!(left["channels"], means["removed"]);
}

#[test]
fn the_same_seed_removes_the_same_channels() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let run = |options: &str| {
        let options: Vec<&str> = options.split(' ').collect();
        let run = run_on("prune", "digits_resnet_unfused_op17", &out, &options).succeeds();
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        (report["pruning"]["seed"].clone(), fs::read(&out).unwrap())
    };
    let random = "--ratio 0.3 --importance random";
    let one = run(&format!("{random} --seed 5 --threads 1"));
    assert_eq!(one, run(&format!("{random} --seed 5 --threads 3")));
    assert_eq!(one.0, 5);
    let default = run(random);
    assert_eq!(default, run(&format!("{random} --seed 0")));
    assert!(default.1 != one.1, "another seed");
    assert!(run("--ratio 0.3").0.is_null());
}

/// What is kept of every group of a report, by name.
fn kept(report: &Value) -> Vec<(String, u64, u64)> {
    let groups = report["pruning"]["groups"].as_array().unwrap().iter();
    let number = |group: &Value, name: &str| group[name].as_u64().unwrap();
    groups
        .map(|group| {
            let name = group["name"].as_str().unwrap().to_owned();
            (name, number(group, "kept"), number(group, "size"))
        })
        .collect()
}

#[test]
fn every_amount_is_kept_in_every_scope() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_resnet_unfused_op17";
    let run = |options: &str| {
        let options: Vec<&str> = options.split(' ').collect();
        let run = run_on("prune", name, &out, &options).succeeds();
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let gone =
        |report: &Value| -> u64 { kept(report).iter().map(|(_, kept, size)| size - kept).sum() };
    let half = run("--ratio 0.5");
    let free: u64 = kept(&half).iter().filter(|(_, kept, size)| kept < size).map(|own| own.2).sum();
    assert_eq!(gone(&half), free / 2);
    assert_eq!(half["pruning"]["importance"], "l2");
    for importance in ["lamp", "bn-scale", "fpgm", "l1 --reduction max --normalize max"] {
        let global = run(&format!("--ratio 0.5 --scope global --importance {importance}"));
        assert!(gone(&global).abs_diff(free / 2) <= 1, "{importance}");
        assert_ne!(kept(&global), kept(&half), "{importance}");
    }
    let two = run("--amount 2 --norm l1");
    assert!(kept(&two).iter().all(|(_, kept, size)| kept == size || size - kept == 2));
    let first = kept(&half).into_iter().find(|(_, kept, size)| kept < size).unwrap().0;
    let node = first.split(',').next().unwrap();
    let one = run(&format!("--layer-ratio {node}=0.25"));
    let lost: Vec<_> = kept(&one).into_iter().filter(|(_, kept, size)| kept < size).collect();
    assert!(lost.len() == 1 && lost[0].0 == first && 4 * (lost[0].2 - lost[0].1) == lost[0].2);
    let ignored = run(&format!("--ratio 0.5 --ignore {node} --min-channels 3 --round-to 4"));
    for (name, kept, size) in kept(&ignored) {
        assert!(kept == size || kept % 4 == 0 && name != first, "{name}: {kept} of {size}");
    }
    // With samples the same go, unless they rank otherwise, and others make up for them.
    let data = "--data fixtures/digits_calib.npz --samples 16";
    let fitted = run(&format!("--ratio 0.5 --importance l2 {data}"));
    assert_eq!(kept(&fitted), kept(&half));
    let losses = fitted["pruning"]["losses"].as_array().unwrap();
    assert!(losses[2]["loss"].as_f64() < losses[0]["loss"].as_f64(), "{losses:?}");
    let target = run(&format!(
        "--macs 0.6 --scope isomorphic --importance wanda --steps 2 --round-to 1 {data}"
    ));
    let reached = target["pruning"]["reached"].as_f64().unwrap();
    assert!(reached <= 0.6 && reached > 0.54, "{reached}");
    assert_eq!(target["pruning"]["rounds"].as_array().unwrap().len(), 2);
}

#[test]
fn a_plan_shows_what_would_go_and_what_is_in_no_group() {
    let model = fixture("digits_transformer_unfused_op17.onnx");
    let arguments = ["prune", model.to_str().unwrap(), "--plan", "--ratio", "0.5"];
    let text = lapidary(arguments).succeeds().stdout;
    assert!(text.contains("what would go:") && text.contains("in no group: "), "{text}");
    let run = lapidary(arguments.into_iter().chain(["--json"])).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let groups = report["groups"].as_array().unwrap();
    let gone = |group: &Value| group["chosen"]["removed"].as_array().unwrap().len();
    assert!(groups.iter().any(|group| gone(group) > 0));
    let held = groups.iter().find(|group| group["removable"].as_array().unwrap().is_empty());
    let held = &held.unwrap()["held"][0];
    assert!(!held["channels"].as_array().unwrap().is_empty() && held["reason"].is_string());
    let ungrouped = report["ungrouped"].as_array().unwrap();
    assert!(ungrouped.iter().all(|node| !node["reasons"].as_array().unwrap().is_empty()));
}

/// The groups of a model as `--plan --json` shows them.
fn groups(name: &str) -> Vec<Value> {
    let model = fixture(&format!("{name}.onnx"));
    let run = lapidary(["prune", model.to_str().unwrap(), "--plan", "--json"]).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    report["groups"].as_array().unwrap().clone()
}

#[test]
fn names_of_groups_are_unique() {
    for name in crate::program::FIXTURES {
        let groups = groups(name);
        let mut names: Vec<&str> =
            groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), groups.len(), "{name}");
    }
}

#[test]
fn what_a_file_keeps_stays_and_the_file_written_says_it_again() {
    let folder = tempdir().unwrap();
    let name = "digits_resnet_unfused_op17";
    let (file, again) = (folder.path().join("keep.json"), folder.path().join("again.json"));
    let outs = [1, 2, 3].map(|number| folder.path().join(format!("{number}.onnx")));
    let group = groups(name)
        .into_iter()
        .find(|group| {
            let removable = group["removable"].as_array().unwrap().len() as u64;
            Some(removable) == group["channels"].as_u64() && removable > 4
        })
        .unwrap();
    let lists = serde_json::json!({"groups": [{"name": group["name"], "keep": [3, 1, 0]}]});
    fs::write(&file, lists.to_string()).unwrap();
    let (file, again) = (file.to_str().unwrap(), again.to_str().unwrap());
    run_on("prune", name, &outs[0], &["--keep", file, "--write-keep", again]).succeeds();
    let written: Value = serde_json::from_str(&fs::read_to_string(again).unwrap()).unwrap();
    let known = written["groups"].as_array().unwrap();
    let known = known.iter().find(|known| known["name"] == group["name"]).unwrap();
    assert_eq!(known["keep"], serde_json::json!([0, 1, 3]));
    let weights = written["weights"].as_array().unwrap();
    assert!(weights.iter().all(|weight| weight["keep"] == known["keep"]) && weights.len() > 2);
    assert_eq!(written["computed"], serde_json::json!([]));
    run_on("prune", name, &outs[1], &["--keep", again]).succeeds();
    assert_eq!(fs::read(&outs[0]).unwrap(), fs::read(&outs[1]).unwrap());
    // With samples the same goes, and others make up for it.
    let data = ["--keep", again, "--data", "fixtures/digits_calib.npz", "--samples", "32"];
    let run = run_on("prune", name, &outs[2], &data).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let losses = report["pruning"]["losses"].as_array().unwrap();
    assert!(losses[2]["loss"].as_f64() < losses[0]["loss"].as_f64(), "{losses:?}");
    let run = run_on("prune", name, &outs[0], &["--keep", again]).succeeds();
    let plain: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(last_step(&plain)["macs"], last_step(&report)["macs"]);
}

#[test]
fn what_a_target_leaves_can_be_written_and_kept() {
    let folder = tempdir().unwrap();
    let name = "digits_mobilenetv2_unfused_op17";
    let keep = folder.path().join("keep.json");
    let keep = keep.to_str().unwrap();
    let outs = [1, 2].map(|number| folder.path().join(format!("{number}.onnx")));
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "8"];
    let options = [&["--macs", "0.7", "--write-keep", keep][..], &data].concat();
    let run = run_on("prune", name, &outs[0], &options).succeeds();
    let target: Value = serde_json::from_str(&run.stdout).unwrap();
    let run = run_on("prune", name, &outs[1], &["--keep", keep]).succeeds();
    let plain: Value = serde_json::from_str(&run.stdout).unwrap();
    for cost in ["macs", "parameters", "nodes"] {
        assert_eq!(last_step(&plain)[cost], last_step(&target)[cost], "{cost}");
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let folder = tempdir().unwrap();
    let (file, out) = (folder.path().join("keep.json"), folder.path().join("p.onnx"));
    let model = fixture("digits_resnet_unfused_op17.onnx");
    let paths = [&model, &out, &file].map(|path| path.to_str().unwrap());
    let run = |text: &str| {
        fs::write(&file, text).unwrap();
        let run = lapidary(["prune", paths[0], "-o", paths[1], "--keep", paths[2]]);
        assert!(!out.exists());
        run.fails_with(3, folder.path())
    };
    let message =
        run(r#"{"groups": [{"name": "none", "keep": []}, {"name": "nobody", "keep": [1]}]}"#);
    assert!(
        message.contains("no group `none`") && message.contains("no group `nobody`"),
        "{message}"
    );
    let message = run(r#"{"groups": [{"name": "none"}]}"#);
    assert!(message.contains("missing field `keep`"), "{message}");
    let message = run(r#"{"schema_version": 9, "groups": []}"#);
    assert!(message.contains("its version is 9, expected 1"), "{message}");
    fs::write(&file, r#"{"groups": []}"#).unwrap();
    for option in [["--norm", "l1"], ["--round-to", "8"], ["--scope", "global"]] {
        let arguments = ["prune", paths[0], "-o", paths[1], "--keep", paths[2]];
        lapidary(arguments.into_iter().chain(option)).fails_with(2, folder.path());
    }
}

#[test]
fn residual_blocks_go_and_what_is_left_makes_up_for_them() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_resnet_unfused_op17";
    let model = fixture(&format!("{name}.onnx"));
    let run = lapidary(["--json", "prune", model.to_str().unwrap(), "--plan", "--blocks", "1"]);
    let plan: Value = serde_json::from_str(&run.succeeds().stdout).unwrap();
    let blocks = plan["blocks"].as_array().unwrap();
    assert!(!blocks.is_empty(), "{plan}");
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "64"];
    let test = ["--test", "fixtures/digits_test.npz"];
    let options = [&["--blocks", "1"][..], &data, &test].concat();
    let run = run_on("prune", name, &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let (first, last) = (&report["steps"][0], last_step(&report));
    let share = last["macs"].as_f64().unwrap() / first["macs"].as_f64().unwrap();
    assert!((report["blocks"]["reached"].as_f64().unwrap() - share).abs() < 1e-12);
    assert!(share < 1.0 && report["pruning"].is_null());
    let gone = &report["blocks"]["blocks"][0];
    assert!(gone["replaced_by"].is_string(), "{gone}");
    let losses = report["blocks"]["losses"].as_array().unwrap();
    assert!(losses[1]["loss"].as_f64() < losses[0]["loss"].as_f64(), "{losses:?}");
    let accuracy = |step: &Value| step["accuracy"].as_f64().unwrap();
    assert!(accuracy(last) > accuracy(first) - 0.05, "{}", accuracy(last));
    // The same by name, and then channels until the target for both is met.
    let block = gone["name"].as_str().unwrap();
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "16"];
    let options = [&["--blocks", block, "--macs", "0.5"][..], &data].concat();
    let run = run_on("prune", name, &out, &options).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let share = last_step(&report)["macs"].as_f64().unwrap() / first["macs"].as_f64().unwrap();
    assert!(share <= 0.5 && share > 0.48, "{share}");
    assert_eq!(report["blocks"]["blocks"][0]["name"], gone["name"]);
}

#[test]
fn blocks_need_samples_and_a_name_that_is_there() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_resnet_unfused_op17";
    let run = run_on("prune", name, &out, &["--blocks", "1"]);
    let error = run.fails_with(2, folder.path());
    assert!(
        run.stdout.contains("blocks are chosen and made up for on samples"),
        "{error}{}",
        run.stdout
    );
    let data = ["--data", "fixtures/digits_calib.npz", "--samples", "16"];
    let run = run_on("prune", name, &out, &[&["--blocks", "nobody"][..], &data].concat());
    run.fails_with(1, folder.path());
    assert!(
        run.stdout.contains("there is no residual block `nobody`; there are"),
        "{}",
        run.stdout
    );
    run_on("prune", name, &out, &["--blocks", "1", "--no-optimize"]).fails_with(2, folder.path());
    assert!(!out.exists());
}

#[test]
fn a_recipe_of_sensitivities_prunes() {
    let folder = tempdir().unwrap();
    let (out, recipe) = (folder.path().join("p.onnx"), folder.path().join("recipe.json"));
    let name = "digits_resnet_unfused_op17";
    let model = fixture(&format!("{name}.onnx"));
    let line = format!(
        "--json sensitivity {} --prune --data fixtures/digits_calib.npz --samples 64 --ratios 0.3,0.6 --macs 0.6 --recipe {}",
        model.display(),
        recipe.display()
    );
    let run = lapidary(line.split(' ')).succeeds();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let groups = report["groups"].as_array().unwrap();
    let total = |group: &Value| -> f64 {
        let points = group["points"].as_array().unwrap();
        points.iter().map(|point| point["loss"].as_f64().unwrap()).sum()
    };
    assert!(groups.windows(2).all(|pair| total(&pair[0]) >= total(&pair[1])));
    let free = groups.iter().filter(|group| group["points"].as_array().unwrap().len() == 2);
    assert!(free.count() >= 2, "{groups:?}");
    let left = report["recipe"]["left"]["macs"].as_f64().unwrap();
    assert!(left <= 0.6 && left > 0.5, "{left}");
    let (pruned, share) = followed(report["recipe"]["command"].as_str().unwrap(), &out);
    assert!((share - left).abs() < 0.01, "{share} {left}");
    let losses = pruned["pruning"]["losses"].as_array().unwrap();
    assert!(losses[2]["loss"].as_f64() < losses[0]["loss"].as_f64(), "{losses:?}");
}

/// Prunes as the command of a recipe says, to another file: the report, and the share of the multiply-accumulates that is
/// left.
fn followed(command: &str, out: &Path) -> (Value, f64) {
    let mut words: Vec<&str> = command.split(' ').skip(1).collect();
    let last = words.len() - 1;
    words[last] = out.to_str().unwrap();
    words.push("--json");
    let run = lapidary(words).succeeds();
    let pruned: Value = serde_json::from_str(&run.stdout).unwrap();
    let first = pruned["steps"][0]["macs"].as_f64().unwrap();
    let share = last_step(&pruned)["macs"].as_f64().unwrap() / first;
    (pruned, share)
}

#[test]
fn a_recipe_tells_heads_or_places_of_an_attention() {
    let folder = tempdir().unwrap();
    let (out, recipe) = (folder.path().join("p.onnx"), folder.path().join("recipe.json"));
    let model = "fixtures/digits_transformer_dynamo_op18.onnx";
    // The groups that can lose channels: their sizes, and the numbers of channels that go of the smallest ones.
    let measured = |options: &str| {
        let line = format!(
            "--json sensitivity {model} --prune --data fixtures/digits_calib.npz --samples 32 --ratios 0.25,0.5 {options}"
        );
        let run = lapidary(line.split_whitespace()).succeeds();
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let groups = report["groups"].as_array().unwrap();
        let free: Vec<&Value> = groups
            .iter()
            .filter(|group| group["points"].as_array().is_some_and(|points| !points.is_empty()))
            .collect();
        let size = |group: &Value| group["size"].as_u64().unwrap();
        let least = free.iter().map(|group| size(group)).min().unwrap();
        let removed = |point: &Value| point["removed"].as_u64().unwrap();
        let smallest = free.iter().filter(|group| size(group) == least);
        let removed: Vec<Vec<u64>> = smallest
            .map(|group| group["points"].as_array().unwrap().iter().map(removed).collect())
            .collect();
        let command = report["recipe"]["command"].as_str().map(str::to_owned);
        (least, removed, command)
    };
    // Two layers of 4 heads of 16 places.
    assert_eq!(measured("").0, 4);
    let (heads, removed, _) = measured("--attention heads");
    assert_eq!((heads, removed), (4, vec![vec![1, 2]; 2]));
    let written = format!("--attention places --macs 0.6 --recipe {}", recipe.display());
    let (places, removed, command) = measured(&written);
    assert_eq!((places, removed.len() >= 2), (16, true));
    assert!(removed.iter().all(|removed| removed == &[4, 8]), "{removed:?}");
    let command = command.unwrap();
    assert!(command.contains("--attention places"), "{command}");
    let (_, share) = followed(&command, &out);
    assert!(share < 0.65, "{share}");
}

#[test]
fn the_latency_that_is_left_is_measured() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("p.onnx");
    let name = "digits_mobilenetv2_unfused_op17";
    let options = ["--latency", "0.8", "--data", "fixtures/digits_calib.npz", "--samples", "16"];
    let run = run_on("prune", name, &out, &options);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    if run.code == 1 {
        // A machine busy with something else; nothing is written then.
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains("of the latency can't be reached"), "{message}");
        assert!(!out.exists());
        return;
    }
    let pruning = &report["pruning"];
    assert_eq!(
        (pruning["resource"].as_str(), pruning["asked"].as_f64()),
        (Some("latency"), Some(0.8))
    );
    let last = pruning["measured"].as_array().unwrap().last().unwrap();
    assert!(last["predicted"].as_f64().unwrap() > 0.0);
    assert!(last["measured"].as_f64().unwrap() <= 0.8);
    assert_eq!(last["measured"], pruning["reached"]);
    let before = fs::metadata(fixture(&format!("{name}.onnx"))).unwrap().len();
    assert!(fs::metadata(&out).unwrap().len() < before);
}

#[test]
fn heads_or_places_of_an_attention_go() {
    let folder = tempdir().unwrap();
    let sizes = |attention: &str| {
        let out = folder.path().join("p.onnx");
        let model = "fixtures/digits_transformer_dynamo_op18.onnx";
        let args = ["prune", model, "--ratio", "0.5", "--attention", attention, "-o"];
        lapidary(args.into_iter().chain([out.to_str().unwrap()])).succeeds();
        let plan = lapidary(["--json", "prune", model, "--plan", "--attention", attention]);
        let plan: Value = serde_json::from_str(&plan.succeeds().stdout).unwrap();
        let groups = plan["groups"].as_array().unwrap();
        let size = |group: &Value| group["channels"].as_u64().unwrap();
        (groups.iter().map(size).min(), fs::metadata(&out).unwrap().len())
    };
    let (heads, places) = (sizes("heads"), sizes("places"));
    assert!(heads.0 < places.0, "{heads:?} {places:?}");
    assert!(heads.1.abs_diff(places.1) < places.1 / 10, "{heads:?} {places:?}");
}
