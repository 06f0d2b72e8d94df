//! The form of AWS's configuration files: sections, and properties in them.

use gateward_seal::SecretValue;

/// The properties of one section of a file. Their values may be secrets, so none is printed.
#[derive(Debug, Default)]
pub(super) struct Section(Vec<(String, SecretValue)>);

impl Section {
    /// The property called `name`, unless it is empty. Where one stands twice, the last counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.expose()).filter(|value| !value.is_empty())
    }
}

/// The section of `text` with one of `headings`; of several headings the first that there is counts, and sections with
/// the same heading are one.
pub(super) fn section(text: &str, headings: &[String]) -> Option<Section> {
    headings.iter().find_map(|heading| one_section(text, heading))
}

fn one_section(text: &str, wanted: &str) -> Option<Section> {
    let mut found: Option<Section> = None;
    let mut inside = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        if let Some(heading) = heading(line) {
            inside = heading == wanted;
            if inside {
                found.get_or_insert_default();
            }
        } else if inside
            && let Some((name, value)) = property(line)
            && let Some(section) = &mut found
        {
            section.0.push((name, SecretValue::from(value)));
        }
    }
    found
}

/// What stands between the brackets, with one space between its words and without quotes.
fn heading(line: &str) -> Option<String> {
    let inside = line.strip_prefix('[')?.split_once(']')?.0;
    let words: Vec<&str> = inside.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    Some(words.join(" "))
}

/// A name, in lower case, and its value. A line that begins with a space goes on with what the last one said, which is
/// nothing that we read.
fn property(line: &str) -> Option<(String, &str)> {
    if line.starts_with(char::is_whitespace) || line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    // A comment may follow a space; without one the sign is a part of the value.
    let comments = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark));
    let end = comments.min().unwrap_or(value.len());
    Some((name.trim().to_ascii_lowercase(), value[..end].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}# a comment
[default]
region = eu-west-1
aws_secret_access_key=canary#;=/+
[ profile  'two words' ]
Region=us-east-1 # why
s3 =
  max_queue = 1
  region = nested
[empty]
[default] ; again
output = json
";

    fn of(heading: &str) -> Option<Section> {
        section(FILE, &[heading.to_owned()])
    }

    #[test]
    fn sections_and_properties_are_found_as_aws_writes_them() {
        let default = of("default").unwrap();
        assert_eq!(default.get("region"), Some("eu-west-1"));
        assert_eq!(default.get("aws_secret_access_key"), Some("canary#;=/+"));
        assert_eq!(default.get("output"), Some("json"), "both sections are one");
        let other = of("profile two words").unwrap();
        assert_eq!(other.get("region"), Some("us-east-1"), "neither the comment nor what is nested");
        assert_eq!(other.get("s3"), None);
        assert!(of("empty").is_some() && of("absent").is_none());
        assert!(!format!("{default:?}").contains("canary"));
    }

    #[test]
    fn the_first_heading_that_there_is_counts() {
        let headings = ["profile default".to_owned(), "default".to_owned()];
        assert_eq!(section(FILE, &headings).unwrap().get("region"), Some("eu-west-1"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[|\\]|profile|default|=| |#|;|\n|\"|\u{feff}|é|a){0,40}") {
            let _ = section(&text, &["default".to_owned()]);
        }
    }
}
