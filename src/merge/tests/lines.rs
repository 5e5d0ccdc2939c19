//! A law for documents of mixed line ends: what stays keeps its own.

use proptest::prelude::*;

use super::*;

/// The feature elements of one document, in order: whether it is there before, whether it is there
/// after, and whether its line ends in CRLF.
type Features = Vec<(bool, bool, bool)>;

fn features() -> impl Strategy<Value = Features> {
    proptest::collection::vec(any::<(bool, bool, bool)>(), 1..9)
}

fn line(index: usize, crlf: bool) -> String {
    let end = if crlf { "\r\n" } else { "\n" };
    format!("    <feature name='f{index}'/>{end}")
}

proptest! {
    #[test]
    fn lines_that_stay_keep_their_ends(features in features(), first in any::<bool>()) {
        let end = if first { "\r\n" } else { "\n" };
        let lines = features.iter().enumerate();
        let before: String = lines
            .clone()
            .filter(|(_, (before, ..))| *before)
            .map(|(index, (.., crlf))| line(index, *crlf))
            .collect();
        let before = format!("<domain>\n  <cpu>{end}    <model>m</model>\r\n{before}  </cpu>\r\n</domain>\n");
        let patch: String = lines
            .clone()
            .map(|(index, (_, after, _))| match after {
                true => format!("<feature name='f{index}'/>"),
                false => format!("<feature name='f{index}' patch:op='remove'/>"),
            })
            .collect();
        let patch = Patch::new("test.xml", format!("<domain><cpu>{patch}</cpu></domain>"));
        let document = Document::parse_domain(&before).unwrap();
        let after = merged(&document, &patch).unwrap().unwrap_or_else(|| before.clone());

        // Every line that is in both is there to the byte, and nothing is but these and the new ones.
        let mut rest = after.as_str();
        let frame = [format!("  <cpu>{end}"), "    <model>m</model>\r\n".to_owned()];
        let kept = lines
            .clone()
            .filter(|(_, (before, after, _))| *before && *after)
            .map(|(index, (.., crlf))| line(index, *crlf));
        let mut between = Vec::new();
        for line in frame.into_iter().chain(kept).chain(["  </cpu>\r\n".to_owned()]) {
            let at = rest.find(&line);
            prop_assert!(at.is_some(), "{line:?} is missing in {after:?}, made of {before:?}");
            between.extend(rest[..at.unwrap()].split_inclusive('\n'));
            rest = &rest[at.unwrap() + line.len()..];
        }
        let new = lines.filter(|(_, (before, after, _))| !*before && *after);
        let new: Vec<String> = new.map(|(index, _)| line(index, false)).collect();
        let between: Vec<String> = between.iter().skip(1).map(|line| line.replace('\r', "")).collect();
        prop_assert_eq!(between, new, "{:?} made of {:?}", after, before);
        prop_assert_eq!(rest, "</domain>\n");
    }
}
