//! Accounts, and the envelope around lists.

use serde_json::{Map, Value, json};

use super::Jarai;
use crate::options::{JaraiAccount, ListEnvelope};
use crate::wire::Reply;

impl Jarai {
    pub(super) fn accounts(&self) -> Reply {
        let all = self
            .options
            .accounts
            .iter()
            .map(|it| self.account_body(it))
            .collect();
        Reply::json(200, &self.envelope("accounts", all))
    }

    pub(super) fn account(&self, id: &str) -> Reply {
        match self.options.accounts.iter().find(|it| it.account_id == id) {
            Some(account) => Reply::json(200, &self.account_body(account)),
            None => self.error(404, "NOT_FOUND", "no such account"),
        }
    }

    fn account_body(&self, account: &JaraiAccount) -> Value {
        let avatars: Vec<Value> = account
            .avatars
            .iter()
            .map(|id| json!({ "avatarId": id }))
            .collect();
        let platforms: Vec<Value> = account
            .platforms
            .iter()
            .map(|name| json!({ "platform": name }))
            .collect();
        let mut body = json!({
            "accountId": account.account_id,
            "avatars": avatars,
            "platforms": platforms,
        });
        if let (true, Some(map)) = (self.options.shape.extras, body.as_object_mut()) {
            map.insert("status".to_owned(), json!("Active"));
            map.insert("displayName".to_owned(), json!("Sandbox account"));
        }
        body
    }

    /// Wraps a list as the shape says; `own` is the resource's name.
    pub(super) fn envelope(&self, own: &str, items: Vec<Value>) -> Value {
        let name = match self.options.shape.envelope {
            ListEnvelope::Array => return Value::Array(items),
            // A list of accounts under the name of another resource would be a lie.
            ListEnvelope::Keyed("deliverables") | ListEnvelope::Own => own,
            ListEnvelope::Keyed(name) => name,
        };
        let mut map = Map::new();
        if self.options.shape.extras {
            map.insert("count".to_owned(), json!(items.len()));
        }
        map.insert(name.to_owned(), Value::Array(items));
        Value::Object(map)
    }
}
