//! The distributions as a picture: for each scheme the part of runs that succeeded within a time,
//! one curve per loss. SVG by hand: a few lines and words, nothing a drawing library is needed for.

use std::fmt::Write as _;

use super::airlink::Series;

/// Size of one diagram and the space around it, in pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 46.0;
/// Colours by loss, lightest for none.
const COLOURS: [&str; 6] = ["#8fb8de", "#5b8fc7", "#2f5f9e", "#12325e", "#7a4b9a", "#b04a5a"];

/// Draws one diagram per scheme, below each other; dashed curves have only the downlink copy.
pub(super) fn draw(all: &[Series]) -> String {
    let mut schemes: Vec<_> = all.iter().map(|series| series.scheme).collect();
    schemes.dedup();
    let mut losses: Vec<f64> = all.iter().map(|series| series.loss).collect();
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    let height = (HEIGHT + MARGIN) * schemes.len() as f64 + MARGIN;
    let width = WIDTH + 2.0 * MARGIN + 80.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (place, scheme) in schemes.iter().enumerate() {
        let own: Vec<&Series> = all.iter().filter(|series| series.scheme == *scheme).collect();
        let top = MARGIN + (HEIGHT + MARGIN) * place as f64;
        diagram(&mut svg, &own, &losses, top);
    }
    svg + "</svg>\n"
}

fn diagram(svg: &mut String, own: &[&Series], losses: &[f64], top: f64) {
    let Some(first) = own.first() else { return };
    let longest = own.iter().filter_map(|series| series.quantile(1.0)).fold(1.0, f64::max);
    let x = |seconds: f64| MARGIN + seconds / longest * WIDTH;
    let y = |part: f64| top + HEIGHT - part * HEIGHT;
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"14\">{}</text>\n\
         <path d=\"M{MARGIN} {top} V{:.0} H{:.0}\" fill=\"none\" stroke=\"#888\"/>",
        top - 8.0,
        first.scheme,
        y(0.0),
        x(longest),
    );
    for part in [0.0, 0.5, 1.0] {
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{:.0} %</text>",
            MARGIN - 4.0,
            y(part) + 4.0,
            part * 100.0,
        );
    }
    for tick in 0..=4 {
        let seconds = longest * f64::from(tick) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{seconds:.1} s</text>",
            x(seconds),
            y(0.0) + 14.0,
        );
    }
    for series in own {
        curve(svg, series, losses, &x, &y);
    }
    for (place, loss) in losses.iter().enumerate() {
        let at = top + 12.0 + 14.0 * place as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{at:.0}\" fill=\"{}\">{:.0} % loss</text>",
            x(longest) + 8.0,
            COLOURS[place % COLOURS.len()],
            loss * 100.0,
        );
    }
}

fn curve(
    svg: &mut String,
    series: &Series,
    losses: &[f64],
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let place = losses.iter().position(|loss| *loss == series.loss).unwrap_or(0);
    let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
    // At most two hundred points: a curve does not need more.
    let step = (series.times.len() / 200).max(1);
    for (n, time) in series.times.iter().enumerate().step_by(step) {
        let _ = write!(path, " L{:.1} {:.1}", x(*time), y((n + 1) as f64 / series.runs as f64));
    }
    let dash = if series.uplink { "" } else { " stroke-dasharray=\"4 3\"" };
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"{dash}/>",
        COLOURS[place % COLOURS.len()],
    );
}
