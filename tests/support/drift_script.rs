//! What people do with a script out of a drift.

/// The script with all that is commented out in it, as somebody makes it who wants to lose the data.
pub fn in_full(script: &str) -> String {
    let mut held = false;
    let mut lines = Vec::new();
    for line in script.lines() {
        if line.starts_with("-- COMMENTED OUT:") {
            held = true;
        } else if line.is_empty() {
            held = false;
        } else if held {
            lines.push(line.strip_prefix("-- ").expect("a comment"));
            continue;
        }
        lines.push(line);
    }
    lines.join("\n")
}
