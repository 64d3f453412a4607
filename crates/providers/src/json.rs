//! Looking things up in JSON whose exact shape is documented nowhere: fields under several names,
//! the one list in an answer, ids that are numbers or texts, times in three spellings.

use domain::Timestamp;
use serde_json::{Map, Value};

/// How deep a list or a job may be wrapped.
const DEEPEST: usize = 4;
/// Numbers above this are milliseconds since 1970, below it seconds: as seconds it would be the
/// year 5138, as milliseconds 1973.
const MILLIS_FROM: i64 = 100_000_000_000;

/// `bytes` as JSON, a byte order mark allowed.
pub(crate) fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(without_bom(bytes)).ok()
}

/// `bytes` without a UTF-8 byte order mark.
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A name without case and separators, so that `productId`, `product_id` and `Product Id` agree.
pub(crate) fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The first of these fields that is there and not null. An exact name wins over a like one.
pub(crate) fn field<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let object = value.as_object()?;
    names.iter().find_map(|name| named(object, name))
}

fn named<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = object.get(name).filter(|found| !found.is_null());
    exact.or_else(|| {
        let plain = plain_name(name);
        object
            .iter()
            .find(|(key, found)| !found.is_null() && plain_name(key) == plain)
            .map(|(_, found)| found)
    })
}

/// The first of these fields that holds a text or a whole number.
pub(crate) fn text_field(value: &Value, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| field(value, &[name]).and_then(text))
}

/// A text that is not blank, or a whole number as text. A number that JSON could only keep as a
/// float is no id any more.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A number, or a text that is one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The first of these fields that holds a time.
pub(crate) fn time_field(value: &Value, names: &[&str]) -> Option<Timestamp> {
    field(value, names).and_then(time)
}

/// A time: JAKOV's reads count milliseconds, all else is ISO 8601. A text without a zone is UTC.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a time beyond the range saturates, and is no time that anybody meant"
            )]
            let count = number
                .as_i64()
                .or_else(|| number.as_f64().map(|count| count as i64))?;
            Some(moment(count))
        }
        Value::String(text) => {
            let text = text.trim();
            text.parse()
                .ok()
                .or_else(|| format!("{text}Z").parse().ok())
                .or_else(|| text.parse().ok().map(moment))
        }
        _ => None,
    }
}

fn moment(count: i64) -> Timestamp {
    if count.saturating_abs() >= MILLIS_FROM {
        Timestamp::from_millis(count)
    } else {
        Timestamp::from_millis(count.saturating_mul(1000))
    }
}

/// The list in an answer: the answer itself, or the one list in it, at the shallowest depth that
/// has any; where several stand side by side, the one with a name from `hints`.
pub(crate) fn list<'a>(value: &'a Value, hints: &[&str]) -> Option<&'a [Value]> {
    list_at(value, hints, DEEPEST)
}

fn list_at<'a>(value: &'a Value, hints: &[&str], depth: usize) -> Option<&'a [Value]> {
    if let Some(list) = value.as_array() {
        return Some(list);
    }
    if let Some(list) = field(value, hints).and_then(Value::as_array) {
        return Some(list);
    }
    let object = value.as_object()?;
    let mut lists = object
        .iter()
        .filter(|(name, _)| !SIDE_LISTS.contains(&plain_name(name).as_str()))
        .filter_map(|(_, found)| found.as_array());
    match (lists.next(), lists.next()) {
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) => None,
        (None, _) => {
            let depth = depth.checked_sub(1)?;
            let mut below = object
                .values()
                .filter_map(|found| found.as_object().and(list_at(found, hints, depth)));
            below.next().filter(|_| below.next().is_none())
        }
    }
}

/// Lists that stand beside the list that was asked for.
const SIDE_LISTS: [&str; 4] = ["errors", "warnings", "messages", "links"];

/// The object in an answer that has one of these fields: the answer itself, or one wrapped in it,
/// also in a list of one.
pub(crate) fn object_with<'a>(value: &'a Value, fields: &[&str]) -> Option<&'a Value> {
    object_at(value, fields, DEEPEST)
}

fn object_at<'a>(value: &'a Value, fields: &[&str], depth: usize) -> Option<&'a Value> {
    if field(value, fields).is_some() {
        return Some(value);
    }
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(object) => {
            let mut found = object
                .values()
                .filter_map(|inner| object_at(inner, fields, depth));
            found.next().filter(|_| found.next().is_none())
        }
        Value::Array(list) => match list.as_slice() {
            [only] => object_at(only, fields, depth),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_is_found_wherever_it_stands() {
        let list_of = |value: &Value| list(value, &["products"]).map(<[Value]>::len);
        for (value, expect) in [
            (json!([1, 2]), Some(2)),
            (json!({"anything": [1]}), Some(1)),
            (json!({"data": {"products": [1, 2, 3]}}), Some(3)),
            (json!({"a": {"b": {"c": {"d": [1]}}}}), Some(1)),
            (json!({"products": [1], "others": [2, 3]}), Some(1)),
            (json!({"one": [1], "two": [2]}), None),
            (json!({"rows": [1], "errors": [2, 3]}), Some(1)),
            (json!({"a": {"x": [1]}, "b": {"y": [2]}}), None),
            (json!({"status": "ok"}), None),
            (json!("text"), None),
        ] {
            assert_eq!(list_of(&value), expect, "{value}");
        }
    }

    #[test]
    fn ids_are_texts_and_whole_numbers() {
        assert_eq!(text(&json!(22292)), Some("22292".to_owned()));
        assert_eq!(text(&json!("12312")), Some("12312".to_owned()));
        assert_eq!(text(&json!(1.5)), None);
        assert_eq!(text(&json!(" ")), None);
        assert_eq!(text(&json!({})), None);
        assert_eq!(
            parse(b"123456789012345678901234567890")
                .as_ref()
                .and_then(text),
            None
        );
    }

    #[test]
    fn names_agree_without_case_and_separators() {
        let value = json!({"Product_ID": 7, "productId": null});
        assert_eq!(text_field(&value, &["productId"]), Some("7".to_owned()));
    }
}
