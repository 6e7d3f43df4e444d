//! A call as one page: summary, roofline, timeline, table. Nothing is loaded from anywhere.

use super::{around, share};
use crate::estimate::{BASIS, digits};
use anemone::ane::cost::{Bound, Estimate, OpCost};
use std::fmt::Write as _;

/// Operations in the table.
const MOST: usize = 2000;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2330;--soft:#667085;--line:#d8dde6;--page:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#3a4354;--page:#14181f}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1080px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}.soft{color:var(--soft)}\
.cards{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.card{border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem}\
.card b{display:block;font-size:1.25rem}svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font:12px system-ui,sans-serif}\
svg .soft{fill:var(--soft)}.grid{stroke:var(--line)}.roof{stroke:var(--ink);fill:none;stroke-width:1.5}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}\
td,th{padding:.2rem .5rem;text-align:right;border-bottom:1px solid var(--line)}td:nth-last-child(-n+3),th:nth-last-child(-n+3){text-align:left}\
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 .9em}";

fn color(bound: Bound) -> &'static str {
    match bound {
        Bound::Compute => "#2f7ed8",
        Bound::Weights => "#8e5bd0",
        Bound::Activations => "#e0862a",
        Bound::Issue => "#9aa3b2",
        Bound::Dispatch => "#5b6472",
        Bound::Ports => "#2aa198",
        Bound::HostCopy => "#c94f5d",
        Bound::Free => "#cccccc",
    }
}

const KEYS: [Bound; 7] = [
    Bound::HostCopy,
    Bound::Dispatch,
    Bound::Ports,
    Bound::Compute,
    Bound::Weights,
    Bound::Activations,
    Bound::Issue,
];

/// Text that is safe inside HTML.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The page.
pub(super) fn page(found: &Estimate, model: &str, about: &str) -> String {
    let mut page = String::new();
    let title = escape(&format!("{model} on {}", found.chip));
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p class=\"soft\">{}; function {}. Estimated, not measured.</p>",
        escape(about),
        escape(&found.function)
    );
    cards(&mut page, found);
    page.push_str("<h2>Timeline</h2>");
    timeline(&mut page, found);
    page.push_str("<h2>Roofline</h2><p class=\"soft\">A dot is an operation, its area its share of the time. The slope is the stream of large weights, the flat part the peak of the array; what lies above the slope keeps its operands on chip.</p>");
    roofline(&mut page, found);
    page.push_str("<h2>Operations</h2>");
    table(&mut page, found);
    for note in &found.notes {
        let _ = write!(page, "<p>Note: {}.</p>", escape(note));
    }
    let _ = write!(page, "<p class=\"soft\">This is {}.</p></body></html>", escape(BASIS));
    page
}

fn cards(page: &mut String, found: &Estimate) {
    let latency = found.latency_ms;
    let cards = [
        (
            "latency",
            format!("{} ms", digits(latency.mid)),
            format!("{} to {}", digits(latency.low), digits(latency.high)),
        ),
        (
            "energy of the engine",
            format!("{} mJ", digits(found.energy_mj.mid)),
            format!("{} to {}", digits(found.energy_mj.low), digits(found.energy_mj.high)),
        ),
        (
            "energy of the package",
            format!("{} mJ", digits(found.package_mj.mid)),
            "with waiting and copying cores".to_string(),
        ),
        ("bound by", found.bound_by.name().replace('_', " "), String::new()),
        (
            "of the peak",
            format!("{:.1}%", found.utilization * 100.0),
            format!("of {:.1} TFLOP/s", found.peak_tflops),
        ),
        (
            "work",
            format!("{} GFLOP", digits(found.flops / 1e9)),
            format!("{} MB of weights", digits(found.weight_bytes / 1e6)),
        ),
        ("known", found.provenance.name().replace('_', " "), String::new()),
    ];
    page.push_str("<div class=\"cards\">");
    for (what, value, more) in cards {
        let _ = write!(
            page,
            "<div class=\"card\"><span class=\"soft\">{what}</span><b>{}</b><span class=\"soft\">{}</span></div>",
            escape(&value),
            escape(&more)
        );
    }
    page.push_str("</div>");
}

fn timeline(page: &mut String, found: &Estimate) {
    const WIDTH: f64 = 1000.0;
    let total = found.terms.total();
    let scale = if total > 0.0 { WIDTH / total } else { 0.0 };
    page.push_str("<p>");
    for bound in KEYS {
        let _ = write!(
            page,
            "<span class=\"key\" style=\"background:{}\"></span>{}",
            color(bound),
            bound.name().replace('_', " ")
        );
    }
    page.push_str("</p><svg viewBox=\"0 0 1000 92\" role=\"img\" aria-label=\"timeline of a call\">");
    let mut now = 0.0;
    let mut bar = |name: &str, bound: Bound, time: f64| {
        let (x, width) = (now * scale, time * scale);
        let _ = write!(
            page,
            "<rect x=\"{x:.2}\" y=\"8\" width=\"{:.2}\" height=\"44\" fill=\"{}\"><title>{}: {} µs, {:.1}%</title></rect>",
            width.max(0.05),
            color(bound),
            escape(name),
            digits(time),
            share(time, found) * 100.0
        );
        now += time;
    };
    for (name, bound, time) in around(found) {
        bar(name, bound, time);
    }
    for op in found.ops.iter().filter(|op| op.time_us > 0.0) {
        bar(&format!("{} {}", op.op, op.value), op.bound, op.time_us);
    }
    for tick in 0..=5 {
        let part = f64::from(tick) / 5.0;
        let anchor = ["start", "middle", "middle", "middle", "middle", "end"][tick as usize];
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"52\" y2=\"60\"/><text x=\"{0:.1}\" y=\"76\" text-anchor=\"{anchor}\">{1} ms</text>",
            part * WIDTH,
            digits(part * total / 1e3)
        );
    }
    page.push_str("</svg>");
}

/// Intensity in flop per byte, rate in TFLOP/s; both axes logarithmic.
fn roofline(page: &mut String, found: &Estimate) {
    const LEFT: f64 = 60.0;
    const RIGHT: f64 = 980.0;
    const TOP: f64 = 16.0;
    const BOTTOM: f64 = 360.0;
    let dots: Vec<&OpCost> =
        found.ops.iter().filter(|op| op.time_us > 0.0 && op.flops > 0.0 && op.bytes > 0.0).collect();
    let log = f64::log10;
    let span = |values: Vec<f64>, low: f64, high: f64| {
        let least = values.iter().copied().fold(low, f64::min);
        let most = values.iter().copied().fold(high, f64::max);
        (log(least.max(1e-9)).floor(), log(most).ceil())
    };
    let (x0, x1) = span(dots.iter().map(|op| op.flops / op.bytes).collect(), 1.0, 1000.0);
    let (y0, y1) =
        span(dots.iter().map(|op| op.tflops).collect(), found.peak_tflops / 100.0, found.peak_tflops);
    let x = |intensity: f64| LEFT + (log(intensity) - x0) / (x1 - x0) * (RIGHT - LEFT);
    let y = |rate: f64| BOTTOM - (log(rate) - y0) / (y1 - y0) * (BOTTOM - TOP);
    page.push_str("<svg viewBox=\"0 0 1000 410\" role=\"img\" aria-label=\"roofline of the operations\">");
    for exponent in x0 as i32..=x1 as i32 {
        let at = x(10f64.powi(exponent));
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/><text x=\"{at:.1}\" y=\"378\" text-anchor=\"middle\">{}</text>",
            power(exponent)
        );
    }
    for exponent in y0 as i32..=y1 as i32 {
        let at = y(10f64.powi(exponent));
        let _ = write!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"52\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            at + 4.0,
            power(exponent)
        );
    }
    let _ = write!(
        page,
        "<text class=\"soft\" x=\"520\" y=\"400\" text-anchor=\"middle\">flop per byte</text><text class=\"soft\" x=\"{LEFT}\" y=\"11\">TFLOP/s</text>"
    );
    // The roof: bandwidth × intensity up to the peak.
    let knee = found.peak_tflops * 1e3 / found.weight_gb_s.max(1e-9);
    let lowest = 10f64.powf(y0).max(10f64.powf(x0) * found.weight_gb_s / 1e3);
    let from = lowest * 1e3 / found.weight_gb_s.max(1e-9);
    let _ = write!(
        page,
        "<path class=\"roof\" d=\"M{:.1} {:.1} L{:.1} {:.1} L{RIGHT} {:.1}\"/><text x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">{:.1} TFLOP/s</text><text x=\"{:.1}\" y=\"{:.1}\">{:.0} GB/s</text>",
        x(from),
        y(lowest),
        x(knee),
        y(found.peak_tflops),
        y(found.peak_tflops),
        y(found.peak_tflops) - 5.0,
        found.peak_tflops,
        x(from) + 8.0,
        y(lowest) - 8.0,
        found.weight_gb_s
    );
    for op in dots {
        let part = share(op.time_us, found);
        let _ = write!(
            page,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"{}\" fill-opacity=\".6\"><title>{} {}: {} µs, {} TFLOP/s, {} GB/s</title></circle>",
            x(op.flops / op.bytes),
            y(op.tflops),
            2.5 + 22.0 * part.sqrt(),
            color(op.bound),
            op.op,
            escape(&op.value),
            digits(op.time_us),
            digits(op.tflops),
            digits(op.gb_s)
        );
    }
    page.push_str("</svg>");
}

fn power(exponent: i32) -> String {
    match exponent {
        0..=4 => format!("{:.0}", 10f64.powi(exponent)),
        -3..=-1 => format!("{}", 10f64.powi(exponent)),
        exponent => format!("1e{exponent}"),
    }
}

fn table(page: &mut String, found: &Estimate) {
    page.push_str("<table><tr><th>µs</th><th>share</th><th>TFLOP/s</th><th>GB/s</th><th>of peak</th><th>bound</th><th>op</th><th>value</th></tr>");
    for (name, bound, time) in around(found) {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{:.1}%</td><td></td><td></td><td></td><td>{}</td><td>{name}</td><td></td></tr>",
            digits(time),
            share(time, found) * 100.0,
            bound.name()
        );
    }
    for op in found.ops.iter().take(MOST) {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{:.1}%</td><td>{}</td><td>{}</td><td>{:.1}%</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            digits(op.time_us),
            share(op.time_us, found) * 100.0,
            digits(op.tflops),
            digits(op.gb_s),
            op.utilization * 100.0,
            op.bound.name(),
            op.op,
            escape(&op.value)
        );
    }
    page.push_str("</table>");
    if found.ops.len() > MOST {
        let _ =
            write!(page, "<p class=\"soft\">{} more operations are not shown.</p>", found.ops.len() - MOST);
    }
}
