//! The command line that does what another command found out.
use lapidary::passes::quantize::NodeSelector;
use std::path::Path;

/// The verb whose arguments are taken over.
const VERB: &str = "sensitivity";

/// Options the other verb does not have, and one that changes the report alone.
const DROPPED: [&str; 2] = ["--accumulated", "--json"];

/// `lapidary quantize` with the arguments of `lapidary sensitivity`, and these nodes in float.
pub(super) fn quantize(arguments: &[String], model: &Path, float: &[String]) -> String {
    let verb = arguments.iter().position(|argument| argument == VERB);
    let place = |(place, argument): (usize, &String)| match Some(place) == verb {
        true => "quantize".to_owned(),
        false => quoted(argument),
    };
    let kept = arguments.iter().enumerate();
    let kept = kept.filter(|(_, argument)| !DROPPED.contains(&argument.as_str()));
    let mut words: Vec<String> = std::iter::once("lapidary".to_owned()).collect();
    words.extend(kept.map(place));
    let stem = model.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    words.extend(["-o".to_owned(), quoted(&format!("{stem}_int8.onnx"))]);
    if !float.is_empty() {
        let names: Vec<String> = float.iter().map(|name| NodeSelector::written(name)).collect();
        words.extend(["--exclude".to_owned(), quoted(&names.join(","))]);
    }
    words.join(" ")
}

/// Options of `lapidary sensitivity --prune` that `lapidary prune` does not have, or that a list of channels settles;
/// with a value, and without.
const OF_CHANNELS: [&str; 8] = [
    "--ratios",
    "--importance",
    "--ignore",
    "--macs",
    "--parameters",
    "--bytes",
    "--max-loss",
    "--recipe",
];
const FLAGS: [&str; 3] = ["--prune", "--no-compensation", "--json"];

/// `lapidary prune` with the arguments of `lapidary sensitivity --prune`, and the channels that `list` keeps.
pub(super) fn prune(arguments: &[String], model: &Path, list: &Path) -> String {
    let verb = arguments.iter().position(|argument| argument == VERB);
    let mut words = vec!["lapidary".to_owned()];
    let mut rest = arguments.iter().enumerate();
    while let Some((place, argument)) = rest.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if OF_CHANNELS.contains(&name) {
            if name == argument {
                rest.next();
            }
        } else if Some(place) == verb {
            words.push("prune".to_owned());
        } else if !FLAGS.contains(&name) {
            words.push(quoted(argument));
        }
    }
    let stem = model.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    let (list, output) = (list.to_string_lossy(), format!("{stem}_pruned.onnx"));
    words.extend(["--keep".to_owned(), quoted(&list), "-o".to_owned(), quoted(&output)]);
    words.join(" ")
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, float: &[&str]) -> String {
        let arguments: Vec<String> = line.split('|').map(str::to_owned).collect();
        let float: Vec<String> = float.iter().map(|&name| name.to_owned()).collect();
        quantize(&arguments, Path::new("dir/net.onnx"), &float)
    }

    #[test]
    fn what_both_verbs_know_is_taken_over() {
        let line = "--threads|2|sensitivity|dir/net.onnx|--data|my data|--accumulated|--min-sqnr|20|--json";
        assert_eq!(
            of(line, &["/a/Conv", "b,c"]),
            "lapidary --threads 2 quantize dir/net.onnx --data 'my data' --min-sqnr 20 \
             -o net_int8.onnx --exclude '/a/Conv,re:^b\\x2Cc$'"
        );
    }

    #[test]
    fn nothing_in_float_needs_no_option() {
        let line = "sensitivity|sensitivity|--data|d.npz";
        let found = of(line, &[]);
        assert_eq!(found, "lapidary quantize sensitivity --data d.npz -o net_int8.onnx");
    }

    #[test]
    fn a_list_of_channels_settles_what_is_pruned() {
        let line = "sensitivity|m.onnx|--prune|--data|d.npz|--ratios|0.1,0.5|--macs=0.5|--json|--attention|places|--recipe|r.json";
        let arguments: Vec<String> = line.split('|').map(str::to_owned).collect();
        assert_eq!(
            prune(&arguments, Path::new("m.onnx"), Path::new("r.json")),
            "lapidary prune m.onnx --data d.npz --attention places --keep r.json -o m_pruned.onnx"
        );
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("$HOME"), "'$HOME'");
        assert_eq!(quoted(""), "''");
    }
}
