//! `anemone check`: whether a model would run on the Neural Engine of these chips, and what stands in its way.

use crate::args::CheckArgs;
use crate::error::CliError;
use crate::output::{Output, wrap};
use crate::program;
use anemone::ane::chips::{CHIPS, Chip};
use anemone::ane::legalize::legalize;
use anemone::ane::placement::{self, Device, Split};
use anemone::ane::rules::{BASIS, Finding, Report, Severity, Verdict, check as examine};
use serde_json::json;

/// Columns that text is wrapped at.
const WIDTH: usize = 96;
/// Values that are named for one finding.
const NAMED: usize = 3;

/// One chip's answer, and the answer after the rewrites that are known.
struct Answer {
    chip: &'static Chip,
    report: Report,
    legalized: Option<Verdict>,
    /// How Core ML would share it out.
    splits: Vec<Split>,
}

/// Runs the command; fails when a chip refuses.
pub(crate) fn check(args: &CheckArgs, out: &mut Output) -> Result<(), CliError> {
    let chips = chips(&args.chips)?;
    let mut opened = program::open(&args.model)?;
    if !args.shapes.is_empty() {
        opened.bind_given(&args.shapes)?;
    }
    let function = args.function.as_deref();
    let mut answers: Vec<Answer> = Vec::with_capacity(chips.len());
    for chip in chips {
        crate::interrupt::check()?;
        let answer = match answers.iter().find(|answer| alike(answer.chip, chip)) {
            // Rules know architectures and families, not chips.
            Some(same) => {
                let report = Report { chip: chip.name, target: chip.target, ..same.report.clone() };
                Answer { chip, report, legalized: same.legalized, splits: same.splits.clone() }
            }
            None => answer(&opened, function, chip)?,
        };
        answers.push(answer);
    }
    let refusing: Vec<&str> = answers
        .iter()
        .filter(|answer| answer.report.verdict == Verdict::Refused)
        .map(|answer| answer.chip.name)
        .collect();
    let (count, total) = (refusing.len(), answers.len());
    let printed = if out.is_json() {
        let chips: Vec<_> = answers
            .iter()
            .map(|answer| json!({"report": answer.report, "after_legalize": answer.legalized, "core_ml": answer.splits}))
            .collect();
        out.json(&json!({"model": opened.name, "about": opened.about, "basis": BASIS, "chips": chips}))
    } else {
        print(&opened, &answers, args.notes, out)
    };
    // Whoever closes the pipe gets the verdict as exit code all the same.
    match count {
        0 => printed,
        _ if count == total && total > 1 => {
            Err(CliError::failed(format!("{}: none of the {total} chips runs it whole", opened.name)))
        }
        _ => Err(CliError::failed(format!("{}: does not run whole on {}", opened.name, refusing.join(", ")))),
    }
}

/// Whether all that is known tells two chips alike: old ones are named in what is said of them.
fn alike(a: &'static Chip, b: &'static Chip) -> bool {
    let (one, other) = (a.target(), b.target());
    one.family.limits().is_some()
        && (one.architecture, one.family, one.clock.value)
            == (other.architecture, other.family, other.clock.value)
}

fn answer(opened: &program::Opened, function: Option<&str>, chip: &'static Chip) -> Result<Answer, CliError> {
    let report = examine(&opened.program, function, chip)
        .map_err(|error| CliError::usage(error.to_string(), "one of these, or no --function"))?;
    let legalized = match report.findings.iter().any(|finding| finding.fixable) {
        true => {
            let (program, _) =
                legalize(&opened.program, chip).map_err(|error| CliError::failed(error.to_string()))?;
            examine(&program, function, chip).ok().map(|report| report.verdict)
        }
        false => None,
    };
    let splits = placement::split(&opened.program, function, chip)
        .map_err(|error| CliError::failed(error.to_string()))?;
    Ok(Answer { chip, report, legalized, splits })
}

/// The chips asked for; all that take MIL by default.
pub(crate) fn chips(names: &[String]) -> Result<Vec<&'static Chip>, CliError> {
    let all = || CHIPS.iter().filter(|chip| chip.family().limits().is_some());
    if names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(all().collect());
    }
    let named = |name: &String| {
        Chip::named(name).map_err(|error| CliError::usage(error.to_string(), "--chips m1,m4 or --chips all"))
    };
    let mut chips: Vec<&'static Chip> = Vec::with_capacity(names.len());
    for chip in names.iter().map(named) {
        let chip = chip?;
        if chips.iter().all(|other| other.name != chip.name || other.target != chip.target) {
            chips.push(chip);
        }
    }
    Ok(chips)
}

fn print(
    opened: &program::Opened,
    answers: &[Answer],
    notes: bool,
    out: &mut Output,
) -> Result<(), CliError> {
    out.result(&format!("{}: {}", opened.name, opened.about))?;
    for summary in answers.first().map_or(&[][..], |answer| &answer.report.functions) {
        out.result(&format!("function {}, {} operations", summary.name, summary.operations))?;
    }
    out.result("")?;
    out.result(&format!(
        "{:<10} {:<6} {:<20} {:>7} {:>6} {:>6}   {}",
        "chip", "target", "verdict", "refused", "wrong", "risks", "after `convert --for`"
    ))?;
    for answer in answers {
        let count = |severities: &[Severity]| {
            let of = |finding: &&Finding| severities.contains(&finding.severity);
            answer.report.findings.iter().filter(of).map(|finding| finding.count).sum::<usize>()
        };
        out.result(&format!(
            "{:<10} {:<6} {:<20} {:>7} {:>6} {:>6}   {}",
            answer.chip.name,
            answer.chip.target,
            answer.report.verdict.name(),
            count(&[Severity::Refused]),
            count(&[Severity::Wrong]),
            count(&[Severity::Risk, Severity::Unknown]),
            answer.legalized.map_or("", Verdict::name)
        ))?;
    }
    out.result("")?;
    shares(answers, out)?;
    let groups = grouped(answers);
    let shown = groups.iter().filter(|group| notes || group.finding.severity != Severity::Note);
    for group in shown {
        out.result("")?;
        group.print(answers.len(), out)?;
    }
    let hidden = groups.iter().filter(|group| group.finding.severity == Severity::Note).count();
    out.result("")?;
    if hidden > 0 && !notes {
        out.result(&format!("{hidden} note{}: --notes shows them", if hidden == 1 { "" } else { "s" }))?;
    }
    out.result(&format!("This is {BASIS}."))
}

/// How Core ML would share the program out, once for chips of which the same is expected.
fn shares(answers: &[Answer], out: &mut Output) -> Result<(), CliError> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for answer in answers {
        // Of a chip that takes no MIL program there is nothing to share.
        for split in answer.splits.iter().filter(|split| !split.segments.is_empty()) {
            let parts: Vec<String> = [Device::Engine, Device::GpuOrCpu, Device::Cpu]
                .into_iter()
                .map(|device| (device, split.on(device)))
                .filter(|&(_, count)| count > 0)
                .map(|(device, count)| format!("{count} on the {}", device.name()))
                .collect();
            let count = split.segments.len();
            let plural = if count == 1 { "" } else { "s" };
            let text = format!("{}: {} in {count} part{plural}", split.function, parts.join(", "));
            match said.iter_mut().find(|(other, _)| *other == text) {
                Some((_, chips)) => chips.push(answer.chip.name),
                None => said.push((text, vec![answer.chip.name])),
            }
        }
    }
    out.result("Core ML would likely run (a rough estimate: its own times are not published):")?;
    for (text, chips) in said {
        let on =
            if chips.len() == answers.len() && chips.len() > 1 { "all".into() } else { chips.join(", ") };
        for (at, line) in wrap(&format!("{text}  ({on})"), WIDTH - 2).iter().enumerate() {
            out.result(&format!("{}{line}", if at == 0 { "  " } else { "    " }))?;
        }
    }
    Ok(())
}

/// Findings that say the same of several operations or on several chips.
struct Group<'a> {
    finding: &'a Finding,
    chips: Vec<&'static str>,
    /// Name of a value, its op, and what is found there.
    places: Vec<(&'a str, &'a str, &'a str)>,
}

fn grouped(answers: &[Answer]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for answer in answers {
        for finding in &answer.report.findings {
            let same = |group: &&mut Group<'_>| {
                let other = group.finding;
                (other.rule, other.severity, &other.function, &other.summary, &other.allowed, other.tested)
                    == (
                        finding.rule,
                        finding.severity,
                        &finding.function,
                        &finding.summary,
                        &finding.allowed,
                        finding.tested,
                    )
            };
            let place = (finding.value.as_str(), finding.op, finding.found.as_str());
            let group = match groups.iter_mut().find(same) {
                Some(group) => group,
                None => {
                    groups.push(Group { finding, chips: Vec::new(), places: Vec::new() });
                    let last = groups.len() - 1;
                    &mut groups[last]
                }
            };
            if group.chips.last() != Some(&answer.chip.name) {
                group.chips.push(answer.chip.name);
            }
            if !group.places.contains(&place) {
                group.places.push(place);
            }
        }
    }
    groups.sort_by_key(|group| group.finding.severity);
    groups
}

impl Group<'_> {
    fn print(&self, chips: usize, out: &mut Output) -> Result<(), CliError> {
        let finding = self.finding;
        let on = match self.chips.len() {
            count if count == chips && chips > 1 => "all of them".to_string(),
            _ => self.chips.join(", "),
        };
        let untested = if finding.tested { "" } else { ", not tested there" };
        let head = format!("{:<8} {}  {}", finding.severity.name(), finding.rule, finding.summary);
        self.lines("", &head, out)?;
        self.lines("  on       ", &format!("{on}{untested}"), out)?;
        let named = self.places.iter().take(NAMED).map(|&(value, op, found)| match (value, op) {
            ("", _) => found.to_string(),
            (value, "") => format!("{value}: {found}"),
            (value, op) if found == op => format!("{value} ({op})"),
            (value, op) => format!("{value} ({op}): {found}"),
        });
        let mut places = named.collect::<Vec<_>>().join("; ");
        let more = (self.places.len() - self.places.len().min(NAMED)) + finding.count.saturating_sub(1);
        if more > 0 {
            places.push_str(&format!("; and {more} more"));
        }
        self.lines("  at       ", &places, out)?;
        if !finding.allowed.is_empty() {
            self.lines("  allowed  ", &finding.allowed, out)?;
        }
        let fix = if finding.fixable { " (`anemone convert --for` does it)" } else { "" };
        if !finding.way_out.is_empty() {
            self.lines("  way out  ", &format!("{}{fix}", finding.way_out), out)?;
        }
        self.lines("  source   ", &format!("{} ({})", finding.source, finding.grade), out)
    }

    fn lines(&self, label: &str, text: &str, out: &mut Output) -> Result<(), CliError> {
        let indent = if label.is_empty() { 9 } else { label.len() };
        for (at, line) in wrap(text, WIDTH - indent).iter().enumerate() {
            match at {
                0 => out.result(&format!("{label}{line}"))?,
                _ => out.result(&format!("{:indent$}{line}", ""))?,
            }
        }
        Ok(())
    }
}
