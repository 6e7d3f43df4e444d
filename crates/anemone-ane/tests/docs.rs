//! The page about the engine, made from the tables: `docs/ane-rules.md`. `ANEMONE_BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone_ane::chips::{CHIPS, Convolution, Family, PROCESS};
use anemone_ane::facts::{Conflict, Figure, SOURCES};
use anemone_ane::legalize::rewrites;
use anemone_ane::rules::{Elsewhere, OpRule, Placement, Rule, Scope, op_rules, rules};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn number(figure: &Figure) -> String {
    let conflict = if figure.conflicts.is_empty() { "" } else { " ¹" };
    match figure.value {
        Some(value) if figure.unit == "native" => {
            format!("{}{conflict}", if value == 1.0 { "yes" } else { "no" })
        }
        Some(value) => format!("{value}{conflict}"),
        None => "–".into(),
    }
}

fn conflicts(list: &[Conflict]) -> String {
    list.iter().map(|other| format!(" But {}: {}.", other.cite, other.claim)).collect()
}

fn chips(page: &mut String) {
    page.push_str(
        "## Chips\n\n| chip | target | family | cores | engines | TOPS | MHz | weights GB/s | 3x3 convolutions | not known |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for chip in CHIPS {
        let convolution = match chip.convolution {
            Convolution::Direct => "direct",
            Convolution::Winograd => "Winograd",
            Convolution::Unknown => "–",
        };
        let target = chip.target();
        let mark = if chip.target_conflicts.is_empty() { "" } else { " ¹" };
        let cells = [
            chip.name.to_string(),
            format!("{} ({}){mark}", chip.target, chip.target_grade),
            target.family.to_string(),
            number(&chip.cores),
            number(&chip.engines),
            number(&chip.tops),
            number(&target.clock),
            number(&chip.weight_stream),
            convolution.into(),
            chip.unknown().len().to_string(),
        ];
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
    page.push_str(
        "\n¹ Sources disagree; `anemone chips NAME` shows who says what. `–`: no source says. Families are the compiler's, by \
         ANEForge's names: A13 is H13, the engine of A14 and M1.\n\n## What a family is held to\n\n| | A13 | A14 | A15 | A16 |\n|---|---|---|---|---|\n",
    );
    let columns: Vec<_> = Family::MIL.iter().map(|family| family.limits().unwrap().figures()).collect();
    for row in 0..columns[0].len() {
        let cells: Vec<String> = columns.iter().map(|column| number(column[row].1)).collect();
        let _ = writeln!(page, "| {} | {} |", columns[0][row].0, cells.join(" | "));
    }
    let _ = writeln!(
        page,
        "\nA process: {} programs at a time, {} compilations, {} calls in flight, {:.1} GB of constants in one program.",
        number(&PROCESS.programs),
        number(&PROCESS.compiles),
        number(&PROCESS.in_flight),
        PROCESS.constants_proven.value.unwrap() / 1e9,
    );
}

fn placement(placement: Placement) -> String {
    match placement {
        Placement::Native => "yes".into(),
        Placement::Decomposed { .. } => "as other work".into(),
        Placement::Refused { .. } => "no".into(),
        Placement::Unknown => "?".into(),
    }
}

fn op_row(rule: &OpRule) -> String {
    let cells: Vec<String> =
        rule.on.iter().map(|entry| format!("{} ({})", placement(entry.placement), entry.grade)).collect();
    let mut note = String::new();
    if let Some(Placement::Decomposed { into }) =
        rule.on.iter().map(|entry| entry.placement).find(|p| matches!(p, Placement::Decomposed { .. }))
    {
        let _ = write!(note, "As {into}. ");
    }
    if let Some(Placement::Refused { why, way_out }) =
        rule.on.iter().map(|entry| entry.placement).find(|p| matches!(p, Placement::Refused { .. }))
    {
        let rewritten =
            rewrites().any(|rewrite| rewrite.rule == "unsupported-op" && rewrite.ops.contains(&rule.op));
        let _ = write!(
            note,
            "No: {why}. Way out: {way_out}{}. ",
            if rewritten { " (`legalize`, where possible)" } else { "" }
        );
    }
    note.push_str(&rule.on[3].cite.to_string());
    note.push('.');
    note.push_str(&conflicts(rule.conflicts));
    format!("| `{}` | {} | {note} |", rule.op, cells.join(" | "))
}

fn scope(scope: &Scope) -> String {
    let seen = scope.seen.join(", ");
    let absent =
        if scope.absent.is_empty() { String::new() } else { format!("; not {}", scope.absent.join(", ")) };
    match scope.elsewhere {
        Elsewhere::Likely if scope.seen.is_empty() => "every engine".into(),
        Elsewhere::Likely => format!("{seen}, likely others{absent}"),
        Elsewhere::Untested => format!("{seen}{absent}; elsewhere not tested"),
        Elsewhere::Unlikely => format!("{seen} only"),
    }
}

fn rule(page: &mut String, rule: &Rule) {
    let ops: Vec<String> = rule.ops.iter().map(|op| format!("`{op}`")).collect();
    let _ = writeln!(page, "\n### {}\n\n{}: {}.", rule.id, rule.severity.name(), rule.summary);
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(page, "- {name}: {text}");
        }
    };
    line("ops", &ops.join(", "));
    line("where", &scope(&rule.scope));
    line("allowed", rule.allowed);
    line("way out", rule.way_out);
    let into: Vec<&str> = rewrites()
        .filter(|rewrite| rewrite.rule == rule.id && rule.id != "unsupported-op")
        .map(|r| r.into)
        .collect();
    let mut into: Vec<&str> = into;
    into.dedup();
    line("`legalize` makes", &into.join("; or "));
    line("source", &format!("{} ({}).{}", rule.cite, rule.grade, conflicts(rule.conflicts)));
}

fn page() -> String {
    let mut page = String::from(
        "# What the Neural Engine takes\n\nMade from the tables in `crates/anemone-ane` by `ANEMONE_BLESS=1 cargo test -p anemone-ane --test docs`; a \
         test fails when it is stale. `anemone check MODEL` holds a model against all of this. Everything here is taken from \
         publications, named with each fact: nothing was run on a device by us. *Measured*: on a device, by the source. *Vendor*: from \
         Apple, its compiler's tables included. *Derived*: worked out from other facts.\n\n",
    );
    chips(&mut page);
    let _ = writeln!(page, "\n## Ops\n\n{} ops.", op_rules().count());
    let mut family = None;
    for rule in op_rules() {
        let own = mil::Op::named(rule.op).unwrap().family;
        if family != Some(own) {
            family = Some(own);
            let _ = writeln!(
                page,
                "\n### {own:?}\n\n| op | A13 | A14 | A15 | A16 | |\n|---|---|---|---|---|---|"
            );
        }
        let _ = writeln!(page, "{}", op_row(rule));
    }
    page.push_str("\n## Rules\n\n*Refused*: it does not run. *Wrong*: it runs, and can be wrong without a word. *Risk*: it may fail. Where a rule was not tested on a \
                   chip, what would be refused or wrong is told as a risk.\n");
    rules().for_each(|each| rule(&mut page, each));
    page.push_str("\n## Sources\n\n");
    for source in SOURCES {
        let _ = writeln!(page, "- **{}**: {}. {}", source.name, source.about, source.at);
    }
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ane-rules.md");
    let page = page();
    if std::env::var_os("ANEMONE_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/ane-rules.md is stale; ANEMONE_BLESS=1 cargo test -p anemone-ane --test docs"
    );
}
