//! The ten shapes, each as the set of points inside it. All fit into the circle of radius 1 and are about as
//! large.

/// The names of the classes, in the order of their labels.
pub const CLASS_NAMES: [&str; 10] =
    ["circle", "square", "triangle", "cross", "ring", "star", "crescent", "stripes", "dots", "arrow"];

/// The five points of the star and the five notches between them, from the top on.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.235, -0.324),
    (0.951, -0.309),
    (0.380, 0.124),
    (0.588, 0.809),
    (0.0, 0.400),
    (-0.588, 0.809),
    (-0.380, 0.124),
    (-0.951, -0.309),
    (-0.235, -0.324),
];
/// The middles of the three dots.
const DOTS: [(f32, f32); 3] = [(0.0, -0.62), (0.537, 0.31), (-0.537, 0.31)];

/// Whether the point is inside the shape of this class.
pub(super) fn contains(class: u8, x: f32, y: f32) -> bool {
    let square = x * x + y * y;
    match class {
        0 => square < 0.85 * 0.85,
        1 => x.abs() < 0.72 && y.abs() < 0.72,
        // Above the base, and under both sides, of an equilateral triangle whose top is at (0, -1).
        2 => y < 0.5 && 1.732 * x.abs() < y + 1.0,
        3 => x.abs().min(y.abs()) < 0.27 && x.abs().max(y.abs()) < 0.95,
        4 => square < 0.95 * 0.95 && square > 0.56 * 0.56,
        5 => in_polygon(&STAR, x, y),
        6 => square < 0.95 * 0.95 && (x - 0.45) * (x - 0.45) + y * y > 0.74 * 0.74,
        7 => x.abs() < 0.85 && (y.abs() < 0.16 || (y.abs() > 0.46 && y.abs() < 0.78)),
        8 => DOTS.iter().any(|&(cx, cy)| (x - cx) * (x - cx) + (y - cy) * (y - cy) < 0.36 * 0.36),
        _ => (x > -0.95 && x < 0.15 && y.abs() < 0.19) || (x >= 0.1 && y.abs() < 0.8 * (0.98 - x)),
    }
}

/// Whether a ray to the right of the point crosses the outline an odd number of times.
fn in_polygon(corners: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        if (from.1 > y) != (to.1 > y) && x < (from.0 - to.0) * (y - to.1) / (from.1 - to.1) + to.0 {
            inside = !inside;
        }
        from = to;
    }
    inside
}
