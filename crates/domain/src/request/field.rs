//! The rules that hold for a column whatever the request is: blank, too long, control characters,
//! UUIDs. Each refusal names the column and shows the value shortened.

use super::{Invalid, MAX_NAME};

/// A column of a row: its name and what stands in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    /// None when blank.
    value: Option<&'a str>,
    /// Where the value came from, for sentences.
    from_account: bool,
}

impl<'a> Field<'a> {
    /// The column of this name; a blank value is none.
    pub(super) fn new(name: &'static str, value: Option<&'a str>) -> Self {
        let value = value.filter(|value| !value.trim().is_empty());
        Self {
            name,
            value,
            from_account: false,
        }
    }

    /// The account's default, where the row says nothing.
    pub(super) fn or(self, default: Option<&'a str>) -> Self {
        if self.value.is_some() {
            return self;
        }
        Self {
            from_account: true,
            ..Self::new(self.name, default)
        }
    }

    /// Whether anything but blanks stands here.
    pub(super) fn is_present(self) -> bool {
        self.value.is_some()
    }

    /// A text exactly as it is, of at most so many UTF-16 units.
    pub(super) fn text(self, longest: usize) -> Result<Option<String>, Invalid> {
        let Some(value) = self.value else {
            return Ok(None);
        };
        self.without_control_characters(value)?;
        let length = value.encode_utf16().count();
        if length > longest {
            let message = format!(
                "{} has {length} characters (in UTF-16 units), and {longest} are the most: {}",
                self.label(),
                shorten(value)
            );
            return Err(Invalid::new("text_too_long", message));
        }
        Ok(Some(value.to_owned()))
    }

    /// A [text](Self::text) that must be there.
    pub(super) fn required_text(
        self,
        longest: usize,
        missing: &'static str,
    ) -> Result<String, Invalid> {
        self.text(longest)?.ok_or_else(|| self.missing(missing))
    }

    /// A name or an id: a text without its surrounding blanks.
    pub(super) fn name(self) -> Result<Option<String>, Invalid> {
        Self {
            value: self.value.map(str::trim),
            ..self
        }
        .text(MAX_NAME)
    }

    /// A [name](Self::name) that must be there.
    pub(super) fn required_name(self, missing: &'static str) -> Result<String, Invalid> {
        self.name()?.ok_or_else(|| self.missing(missing))
    }

    /// A UUID that must be there: 8-4-4-4-12 hexadecimal digits.
    pub(super) fn uuid(self, missing: &'static str) -> Result<String, Invalid> {
        let id = self.required_name(missing)?;
        if is_uuid(&id) {
            return Ok(id);
        }
        let message = format!(
            "{} {} is no UUID: 8-4-4-4-12 hexadecimal digits, \
             such as 3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            self.label(),
            shorten(&id)
        );
        Err(Invalid::new("invalid_uuid", message))
    }

    fn missing(self, code: &'static str) -> Invalid {
        let name = self.name;
        let message = if self.from_account {
            format!("{name} is blank, and the account has no default for it: set one of the two")
        } else {
            format!("{name} is blank, and it must be given")
        };
        Invalid::new(code, message)
    }

    /// Line feeds, tabs and the carriage return of a Windows line end are text; the other control
    /// characters are accidents (PostgreSQL cannot even store a NUL), and nobody should pay for one.
    fn without_control_characters(self, value: &str) -> Result<(), Invalid> {
        let mut chars = value.chars().zip(1_usize..).peekable();
        while let Some((c, position)) = chars.next() {
            let line_end = c == '\r' && chars.peek().is_some_and(|(next, _)| *next == '\n');
            if c.is_control() && !matches!(c, '\n' | '\t') && !line_end {
                let message = format!(
                    "{} has the control character U+{:04X} at position {position}: take it out",
                    self.label(),
                    u32::from(c)
                );
                return Err(Invalid::new("control_character", message));
            }
        }
        Ok(())
    }

    fn label(self) -> String {
        let from = if self.from_account {
            " of the account"
        } else {
            ""
        };
        format!("{}{from}", self.name)
    }
}

/// How much of a value a message shows, in characters.
const SHOWN: usize = 40;

/// The beginning of a value in quotes, control characters escaped.
pub(super) fn shorten(value: &str) -> String {
    let shown: String = value.chars().take(SHOWN).collect();
    let more = if shown.len() < value.len() { "…" } else { "" };
    format!("{:?}", shown + more)
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(|group| {
        let hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then_some(group.len())
    });
    groups.eq([8, 4, 4, 4, 12].map(Some))
}
