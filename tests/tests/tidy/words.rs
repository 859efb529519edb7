//! Words that are banned from the project, or from most of its files.

use super::source::{File, check, check_words, files, has_word, rust_files};

#[test]
fn nothing_is_left_to_do() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("un", "implemented!("),
    ];
    let mut violations = Vec::new();
    for file in &files() {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| has_word(line, mark)) {
                violations.push(format!("{}:{}: `{mark}` in: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    check(&violations, "Nothing is left to be done later: do it, or take the mark out.");
}

#[test]
fn debug_forms_of_our_types_stay_out_of_logs_and_errors() {
    // The debug form of a duration is the form that people write.
    let spans =
        ["?took", "limits::JOIN", "limits.silence", "{limit:?}", "{HANDSHAKE:?}", "{ttl:?}"];
    // The debug form of a text is the text in quotes; that of a number is its shortest form.
    let texts =
        ["{path:?}", "{name:?}", "{written:?}", "{piece:?}", "{words:?}", "{shown:?}", "{x:?}"];
    let foreign = ["{resource:?}"];
    let allowed: Vec<&str> = spans.iter().chain(&texts).chain(&foreign).copied().collect();
    let logged = |line: &str| {
        ["info!(", "warn!(", "error!("].iter().any(|level| line.contains(level))
            && [" ?", "(?", "= ?"].iter().any(|form| line.contains(form))
    };
    let is_ours = |file: &&File| {
        file.path.contains("/src/") && file.path.starts_with("crates/")
        // Tests and injected faults are exempt.
        && !file.is_test() && file.name() != "faults.rs"
    };
    let mut violations = Vec::new();
    for file in rust_files().iter().filter(is_ours) {
        // Tests are at the end of a file.
        let end = file
            .text
            .find("#[cfg(test)]")
            .map_or(usize::MAX, |at| file.text[..at].matches('\n').count());
        for (at, line) in file.code().filter(|(at, _)| *at <= end) {
            let shows = line.contains(":?}") || line.contains("{:#?}") || logged(line);
            if shows && !allowed.iter().any(|form| line.contains(form)) {
                violations.push(format!("{}:{at}: {}", file.path, line.trim()));
            }
        }
    }
    check(&violations, "A person reads it: write what it means, not how it is laid out in memory.");
}

#[test]
fn only_main_and_config_read_the_environment() {
    let may = |file: &&File| {
        ["main.rs", "config.rs", "build.rs"].contains(&file.name()) || file.is_test()
    };
    check_words(
        rust_files().iter().filter(|file| !may(file)),
        &["env::var", "env::var_os", "env::vars", "env::vars_os", "set_var", "remove_var"],
        "Only main.rs and config.rs read the environment: pass the value in from there.",
    );
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Each word is in two halves, so that the test does not find this list.
    let machines = [("/wo", "rk/"), ("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/")];
    let hosts = [
        ("sparse", "+http"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("registry.npmjs", ".org"),
        ("pypi", ".org"),
        ("deb.debian", ".org"),
    ];
    let words: Vec<String> =
        machines.iter().chain(&hosts).map(|(one, two)| format!("{one}{two}")).collect();
    let mut violations = Vec::new();
    for file in files().iter().filter(|file| file.path != "Cargo.lock") {
        for (at, line) in file.text.lines().enumerate() {
            let starts_path = |word: &str| {
                line.match_indices(word).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}/".contains(c))
                })
            };
            if let Some(word) = words.iter().find(|word| starts_path(word)) {
                violations.push(format!("{}:{}: `{word}` in: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    check(&violations, "Paths of one machine and hosts of registries stay out of the project.");
}

/// Invented names, and the field's term for each.
const STRUCK_OFF: [(&str, &str); 26] = [
    ("Understood", "ResolvedCall"),
    ("Kept", "OffloadedResult, or a name that says what is stored"),
    ("BodyKept", "ResultOffloaded"),
    ("Power", "CapabilityRequest"),
    ("PowerRequest", "CapabilityRequest"),
    ("Standing", "RememberedApproval, RefValidity"),
    ("Guest", "CallerCapability"),
    ("Climb", "RemainingBudget"),
    ("Left", "RemainingBudget"),
    ("Wider", "NotAttenuated"),
    ("PassOn", "Delegation"),
    ("Delivery", "ReplayCursor"),
    ("Keeper", "Admin"),
    ("Ground", "Backends"),
    ("Desk", "InviteIssuer"),
    ("Footing", "ConnectionBasis"),
    ("Wish", "Requirements"),
    ("Door", "VatHandle, DirectChannel"),
    ("check_meant", "validate_against_manifest"),
    ("come_back", "match_returned_caps"),
    ("lasting", "run_detached"),
    ("take_up", "activate"),
    ("stirred", "woken"),
    ("placer", "scheduler"),
    ("RULES", "FOLD_VERSION"),
    ("end_needy", "revoke_dependents"),
];

#[test]
fn struck_off_names_stay_out_of_code() {
    let mut violations = Vec::new();
    let is_ours = |file: &&File| file.path.contains("/src/") && !file.is_test();
    for file in rust_files().iter().filter(is_ours) {
        for (number, line) in file.code() {
            // Words inside string literals are not names.
            let code: String = line.split('"').step_by(2).collect();
            let found = STRUCK_OFF.iter().find(|(name, _)| {
                has_word(&code, name) && !has_word(&code, &format!("Side::{name}"))
            });
            if let Some((name, term)) = found {
                violations.push(format!("{}:{number}: `{name}`: say {term}", file.path));
            }
        }
    }
    check(&violations, "A reader of the field looks for the field's word.");
}
