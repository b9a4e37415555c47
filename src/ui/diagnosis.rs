//! The settings of `config show` and the checks of `doctor`.

use console::{Style, measure_text_width};

use super::{
    appearance::Appearance,
    phrase::{INDENT, paint, visible_whole, wrapped},
};
use crate::event::{Check, CheckStatus, ShownSetting};

/// The width of the column with the names of checks.
const NAME_WIDTH: usize = 14;

/// Renders the settings: name, value, and where the value comes from.
pub(super) fn settings(settings: &[ShownSetting]) -> String {
    let values: Vec<String> = settings.iter().map(|setting| visible_whole(&setting.value)).collect();
    let width = values.iter().map(|value| measure_text_width(value)).max().unwrap_or_default();
    let line = |(setting, value): (&ShownSetting, &String)| {
        let gap = " ".repeat(width - measure_text_width(value));
        format!("{:10}  {value}{gap}  ({})\n", setting.name, visible_whole(&setting.source))
    };
    settings.iter().zip(&values).map(line).collect()
}

/// Renders a check: its result, and below it what a problem costs and how to mend it.
pub(super) fn check(check: &Check, look: &Appearance) -> String {
    let (word, style) = match check.status {
        CheckStatus::Ok => ("ok", Style::new().green()),
        CheckStatus::Warning => ("warning", Style::new().yellow().bold()),
        CheckStatus::Failed => ("failed", Style::new().red().bold()),
    };
    let word = paint(&format!("{word:7}"), style, look.color_out);
    let mut text = format!("{word}  {:NAME_WIDTH$}  {}\n", check.name, visible_whole(&check.detail));
    for (label, note) in [("cost", &check.cost), ("hint", &check.hint)] {
        if let Some(note) = note {
            text.push_str(&format!("{INDENT}{label}: {}\n", visible_whole(note)));
        }
    }
    if look.out_terminal { wrapped(&text, look.width) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_in_columns() {
        let setting = |name, value: &str, source: &str| ShownSetting {
            name,
            value: value.into(),
            origin: "file",
            source: source.into(),
        };
        let shown = settings(&[setting("relay", "none", "default"), setting("limit-down", "2 MB/s", "--limit-down")]);
        assert_eq!(shown, "relay       none    (default)\nlimit-down  2 MB/s  (--limit-down)\n");
    }

    #[test]
    fn a_problem_says_what_it_costs_and_how_to_mend_it() {
        let problem = Check {
            name: "relay",
            status: CheckStatus::Failed,
            detail: "no\x1b answer".into(),
            cost: Some("nothing works".into()),
            hint: Some("wait".into()),
        };
        let shown = check(&problem, &Appearance::terminal());
        assert_eq!(shown, "failed   relay           no\\u{1b} answer\n  cost: nothing works\n  hint: wait\n");
    }
}
