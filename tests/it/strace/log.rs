//! A log of `strace -f -y`, read: calls with the places in the log where they began and ended. A call
//! that another thread interrupted stands on two lines.

use std::collections::BTreeMap;

/// One system call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The thread that made it.
    pub(super) thread: String,
    /// Its name.
    pub(super) name: String,
    /// Its arguments, as printed.
    pub(super) arguments: String,
    /// Its result, as printed; none if the process died in it.
    pub(super) result: Option<String>,
    /// The line on which it began.
    pub(super) began: usize,
    /// The line on which it ended.
    pub(super) ended: usize,
}

impl Call {
    /// Whether it was made to fail, or its process to die.
    pub(super) fn was_injected(&self) -> bool {
        let result = self.result.as_deref();
        result.is_none_or(|result| result.contains("(INJECTED)"))
    }

    /// The path behind its first argument, a file descriptor: `23</a/b>`.
    pub(super) fn file(&self) -> &str {
        let rest = self.arguments.split_once('<').map_or("", |(_, rest)| rest);
        rest.split_once('>').map_or("", |(path, _)| path)
    }

    /// Its n-th argument in quotes, as bytes.
    pub(super) fn text(&self, n: usize) -> Vec<u8> {
        quoted(&self.arguments).nth(n).unwrap_or_default()
    }

    /// All of its arguments in quotes, one after the other.
    pub(super) fn bytes(&self) -> Vec<Vec<u8>> {
        quoted(&self.arguments).collect()
    }
}

/// All calls of a log, in the order in which they began.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished = BTreeMap::<(String, String), usize>::new();
    for (line, text) in log.lines().enumerate() {
        let Some((pid, text)) = text.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        if let Some(rest) = text.strip_prefix("<... ") {
            let Some((name, rest)) = rest.split_once(" resumed>") else {
                continue;
            };
            // Some began before their thread was traced.
            let begun = unfinished.remove(&(pid.to_owned(), name.to_owned()));
            let Some(call) = begun.map(|begun| &mut calls[begun]) else {
                continue;
            };
            let (more, result) = split_result(rest);
            call.arguments += more;
            call.result = result;
            call.ended = line;
        } else if let Some((name, rest)) = text.split_once('(') {
            // Signals and ends of threads stand between the calls.
            if !name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'_')
            {
                continue;
            }
            let cut = rest.strip_suffix(" <unfinished ...>");
            let (arguments, result) = match cut {
                Some(arguments) => (arguments, None),
                None => split_result(rest),
            };
            if cut.is_some() {
                unfinished.insert((pid.to_owned(), name.to_owned()), calls.len());
            }
            calls.push(Call {
                thread: pid.to_owned(),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                result,
                began: line,
                ended: line,
            });
        }
    }
    calls
}

/// `…) = 3` in two.
fn split_result(text: &str) -> (&str, Option<String>) {
    match text.rsplit_once(" = ") {
        Some((arguments, result)) if result != "?" => {
            let arguments = arguments.trim_end().trim_end_matches(')');
            (arguments, Some(result.to_owned()))
        }
        _ => (text, None),
    }
}

/// The strings of a list of arguments, with their escapes undone.
fn quoted(arguments: &str) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = arguments.bytes().peekable();
    std::iter::from_fn(move || {
        rest.by_ref().find(|byte| *byte == b'"')?;
        let mut text = Vec::new();
        while let Some(byte) = rest.next() {
            match byte {
                b'"' => break,
                b'\\' => {
                    let escaped = rest.next()?;
                    let digit = |byte: &u8| (b'0'..=b'7').contains(byte);
                    text.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'v' => 0x0b,
                        b'f' => 0x0c,
                        first if digit(&first) => {
                            let mut value = u32::from(first - b'0');
                            for _ in 0..2 {
                                if let Some(next) = rest.next_if(digit) {
                                    value = value * 8 + u32::from(next - b'0');
                                }
                            }
                            u8::try_from(value).unwrap()
                        }
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
        Some(text)
    })
}

#[test]
fn a_log_is_read_as_strace_writes_it() {
    let log = "\
7 writev(3<socket:[9]>, [{iov_base=\"PO\\\"ST\\r\\n\", iov_len=7}, {iov_base=\"\\0019\\377\", iov_len=3}], 2) = 10
7 fsync(4</a/b-wal> <unfinished ...>
8 +++ exited with 0 +++
8 rename(\"/a/x\", \"/a/y\") = -1 EIO (Input/output error) (INJECTED)
7 <... fsync resumed>)            = 0
7 pwrite64(4</a/b-wal>, \"x\", 1, 0) = ?
7 +++ killed by SIGKILL +++
";
    let calls = calls(log);
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["writev", "fsync", "rename", "pwrite64"]);
    assert_eq!(
        calls[0].bytes(),
        [b"PO\"ST\r\n".to_vec(), vec![1, b'9', 255]]
    );
    assert_eq!((calls[1].began, calls[1].ended), (1, 4));
    assert_eq!(calls[1].file(), "/a/b-wal");
    assert_eq!(calls[1].result.as_deref(), Some("0"));
    assert!(calls[2].was_injected() && calls[3].was_injected() && !calls[0].was_injected());
    assert_eq!(calls[2].text(1), b"/a/y");
}
