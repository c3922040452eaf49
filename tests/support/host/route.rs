//! Route templates of HTTP functions: `dbvc/databases/{databaseId?}`.

use percent_encoding::percent_decode_str;

/// A template, route prefix included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Required(String),
    Optional(String),
    CatchAll(String),
}

impl Template {
    /// Errors name the segment that the host (or this double) does not accept.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_matches('/').to_owned();
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let segments: Vec<Segment> = parts
            .iter()
            .map(|part| Segment::parse(part))
            .collect::<Result<_, _>>()?;
        let before_last = &segments[..segments.len().saturating_sub(1)];
        if let Some(early) = before_last
            .iter()
            .find(|segment| matches!(segment, Segment::Optional(_) | Segment::CatchAll(_)))
        {
            return Err(format!(
                "{early:?} may only be the last segment of `{text}`"
            ));
        }
        Ok(Self { text, segments })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The route values if `path` (still percent-encoded) is one of this template's. Case and a trailing slash do not
    /// matter.
    pub fn matches(&self, path: &str) -> Option<Vec<(String, String)>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/').map(decoded).collect()
        }
        .into_iter();
        let mut values = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => {
                    if !parts.next()?.eq_ignore_ascii_case(literal) {
                        return None;
                    }
                }
                Segment::Required(name) => {
                    let value = parts.next().filter(|value| !value.is_empty())?;
                    values.push((name.clone(), value));
                }
                Segment::Optional(name) => match parts.next() {
                    Some(value) if value.is_empty() => return None,
                    Some(value) => values.push((name.clone(), value)),
                    None => {}
                },
                Segment::CatchAll(name) => {
                    let rest: Vec<String> = parts.by_ref().collect();
                    values.push((name.clone(), rest.join("/")));
                }
            }
        }
        parts.next().is_none().then_some(values)
    }

    /// Whether some path belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        overlap(&self.segments, &other.segments)
    }
}

fn overlap(left: &[Segment], right: &[Segment]) -> bool {
    use Segment::{CatchAll, Literal, Optional};
    match (left, right) {
        ([], []) => true,
        ([CatchAll(_), ..], _) | (_, [CatchAll(_), ..]) => true,
        ([], [Optional(_)]) | ([Optional(_)], []) => true,
        ([], _) | (_, []) => false,
        ([one, left @ ..], [other, right @ ..]) => {
            let alike = match (one, other) {
                (Literal(one), Literal(other)) => one.eq_ignore_ascii_case(other),
                _ => true,
            };
            let both = alike && overlap(left, right);
            // An optional segment may also be missing.
            both || (matches!(one, Optional(_)) && matches!(other, Optional(_)))
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
            return match text.contains(['{', '}']) {
                true => Err(format!("the double does not know segments like `{text}`")),
                false => Ok(Self::Literal(text.to_owned())),
            };
        };
        let (name, segment): (&str, fn(String) -> Self) = match inner.trim_start_matches('*') {
            name if name.len() < inner.len() => (name, Self::CatchAll),
            name => match name.strip_suffix('?') {
                Some(name) => (name, Self::Optional),
                None => (name, Self::Required),
            },
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("the double does not know segments like `{text}`"));
        }
        Ok(segment(name.to_owned()))
    }
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}
