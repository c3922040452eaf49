//! Content negotiation: which of the types that an endpoint offers the caller wants most.

/// A media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `text/markdown`
    Markdown,
    /// `text/html`
    Html,
    /// `application/sql` (RFC 6922)
    Sql,
}

impl MediaType {
    /// The type as ranges of `Accept` name it.
    pub fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Sql => "application/sql",
        }
    }

    /// The type as `Content-Type` names it. JSON is UTF-8 by definition.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Sql => "application/sql; charset=utf-8",
        }
    }
}

/// How much a caller wants a type, in thousandths, as RFC 9110 limits it.
type Quality = u16;

const FULL_QUALITY: Quality = 1000;

/// One range of `Accept`, such as `text/*;q=0.5`.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    quality: Quality,
}

/// Chooses from `offers` by the values of the `Accept` headers; the first offer wins a tie, and any will do when there is
/// no such header. `None` when every offer is excluded.
///
/// Parameters other than `q` are ignored: callers write `charset` or `odata` there, and dbvc has one form of each type.
pub fn choose<'a>(
    accept: impl Iterator<Item = &'a str>,
    offers: &[MediaType],
) -> Option<MediaType> {
    let values: Vec<&str> = accept
        .flat_map(|header| header.split(','))
        .filter(|value| !value.trim().is_empty())
        .collect();
    if values.is_empty() {
        return offers.first().copied();
    }
    let ranges: Vec<Range<'_>> = values.into_iter().filter_map(parse_range).collect();
    let mut best: Option<(MediaType, Quality)> = None;
    for offer in offers {
        let quality = quality_of(*offer, &ranges);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((*offer, quality));
        }
    }
    best.map(|(offer, _)| offer)
}

fn parse_range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';');
    let (main, sub) = parts.next()?.trim().split_once('/')?;
    if main.is_empty() || sub.is_empty() || (main == "*" && sub != "*") {
        return None;
    }
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(FULL_QUALITY), |(_, value)| parse_quality(value.trim()))?;
    Some(Range { main, sub, quality })
}

/// `0`, `0.5`, `1.000`: at most three digits behind the point, never more than one.
fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<Quality>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL_QUALITY),
        _ => None,
    }
}

/// The quality that the most specific matching range gives a type; 0 when none matches.
fn quality_of(offer: MediaType, ranges: &[Range<'_>]) -> Quality {
    let (main, sub) = offer
        .essence()
        .split_once('/')
        .unwrap_or((offer.essence(), ""));
    ranges
        .iter()
        .filter_map(|range| {
            let main_matches = range.main.eq_ignore_ascii_case(main);
            let specificity = if main_matches && range.sub.eq_ignore_ascii_case(sub) {
                2
            } else if main_matches && range.sub == "*" {
                1
            } else if range.main == "*" {
                0
            } else {
                return None;
            };
            Some((specificity, range.quality))
        })
        .max()
        .map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &[MediaType] = &[MediaType::Json, MediaType::Markdown, MediaType::Html];
    const JSON: &[MediaType] = &[MediaType::Json];

    fn chosen(accept: &[&str], offers: &[MediaType]) -> Option<MediaType> {
        choose(accept.iter().copied(), offers)
    }

    #[test]
    fn without_a_wish_the_first_offer_is_given() {
        assert_eq!(chosen(&[], REPORT), Some(MediaType::Json));
        assert_eq!(chosen(&[""], REPORT), Some(MediaType::Json));
        assert_eq!(chosen(&["*/*"], REPORT), Some(MediaType::Json));
    }

    #[test]
    fn the_named_type_is_given_in_any_case() {
        assert_eq!(
            chosen(&["text/markdown"], REPORT),
            Some(MediaType::Markdown)
        );
        assert_eq!(chosen(&["Text/HTML"], REPORT), Some(MediaType::Html));
        assert_eq!(
            chosen(&["application/json; charset=utf-8"], JSON),
            Some(MediaType::Json)
        );
        assert_eq!(chosen(&["application/*"], JSON), Some(MediaType::Json));
    }

    #[test]
    fn a_browser_gets_html() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(chosen(&[browser], REPORT), Some(MediaType::Html));
        assert_eq!(chosen(&[browser], JSON), Some(MediaType::Json));
    }

    #[test]
    fn the_highest_quality_wins_over_all_headers() {
        assert_eq!(
            chosen(
                &[
                    "application/json;q=0.2, text/html;q=0.7",
                    "text/markdown;Q=0.9"
                ],
                REPORT
            ),
            Some(MediaType::Markdown)
        );
    }

    #[test]
    fn the_most_specific_range_decides_about_a_type() {
        assert_eq!(
            chosen(&["text/*, text/markdown;q=0"], REPORT),
            Some(MediaType::Html)
        );
        assert_eq!(chosen(&["*/*, application/json;q=0"], JSON), None);
        assert_eq!(
            chosen(&["*/*;q=0, application/json"], JSON),
            Some(MediaType::Json)
        );
    }

    #[test]
    fn a_type_that_is_not_offered_leaves_nothing() {
        for accept in [
            "text/html",
            "application/xml",
            "application/problem+json",
            "json",
            "*/json",
            "*/*;q=0",
        ] {
            assert_eq!(chosen(&[accept], JSON), None, "{accept}");
        }
    }

    #[test]
    fn a_malformed_quality_makes_its_range_void() {
        for quality in ["2", "1.5", "0.1234", "-1", "x", "1.001", "0.a", "+0", ""] {
            let accept = format!("application/json;q={quality}");
            assert_eq!(chosen(&[&accept], JSON), None, "{quality}");
        }
        for quality in ["1", "1.", "1.000", "0.5", "0.001"] {
            let accept = format!("application/json;q={quality}");
            assert_eq!(chosen(&[&accept], JSON), Some(MediaType::Json), "{quality}");
        }
    }
}
