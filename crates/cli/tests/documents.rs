//! Every command the documents tell somebody to type is one the client understands.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Global, Verb};

#[derive(Parser)]
#[command(name = "exodus", version)]
struct Line {
    #[command(flatten)]
    _global: Global,
    #[command(subcommand)]
    _verb: Verb,
}

/// Verbs of the binary itself, which this crate does not know.
const OF_THE_BINARY: &[&str] = &["serve", "demo"];

#[test]
fn every_documented_command_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    collect(&root.join("docs"), &mut pages);
    let (mut tried, mut wrong) = (0, Vec::new());
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for (command, block) in commands(&text) {
            let words = split(&command);
            if words.get(1).is_some_and(|verb| OF_THE_BINARY.contains(&verb.as_str())) {
                continue;
            }
            tried += 1;
            let error = Line::try_parse_from(&words).err();
            if let Some(error) = error.filter(|e| !tolerated(e.kind(), block)) {
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                wrong.push(format!("{}: `{command}`: {first}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 30, "only {tried} commands were found: are the documents still there?");
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the documents are a folder") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
}

/// Help is an answer; in a sentence a verb may be named without what it needs.
fn tolerated(kind: ErrorKind, block: bool) -> bool {
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::InvalidValue
        | ErrorKind::MissingSubcommand => !block,
        _ => false,
    }
}

/// Commands in blocks (true) and in inline code. One with an ellipsis is not meant to be typed.
fn commands(text: &str) -> Vec<(String, bool)> {
    let (mut fenced, mut found) = (false, Vec::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let line = line.trim();
            found.extend(line.starts_with("exodus ").then(|| (line.to_owned(), true)));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            let spans = spans.filter(|s| s.starts_with("exodus "));
            found.extend(spans.map(|s| (s.to_owned(), false)));
        }
    }
    found.retain(|(command, _)| !command.contains('…'));
    found
}

/// Words as a shell would make them: quotes group, `#` begins a comment, a redirection ends it.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('#' | '>' | '|' | '&', None) if word.is_empty() => break,
            (' ', None) => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (c, _) => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[test]
fn words_are_split_like_a_shell_does() {
    let words = split("exodus hold --reason \"two words\"   # later");
    assert_eq!(words, ["exodus", "hold", "--reason", "two words"]);
}
