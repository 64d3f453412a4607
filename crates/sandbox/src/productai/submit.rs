//! POST /api/generate and /api/upscale: the strict reading, the price, and the answer.

use serde_json::{Map, Value, json};

use super::{ImageJob, Productai};
use crate::options::ImageFormat;
use crate::timeline::{Polls, Timeline};
use crate::wire::{Call, Provider, Reply};
use crate::world::{Pending, World, required_text, unknown_fields};

/// What was asked for, if it may be.
struct Order {
    operation: &'static str,
    tokens: u64,
}

impl Productai {
    pub(super) fn submit(&mut self, call: &Call, world: &mut World) -> Reply {
        if !call.says_json() {
            return self.error(
                415,
                "BAD_REQUEST",
                "the content type must be application/json",
            );
        }
        let object = match serde_json::from_slice::<Value>(&call.body) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return self.error(400, "BAD_REQUEST", "the body must be an object"),
            Err(_) => return self.error(400, "BAD_REQUEST", "the body is not JSON"),
        };
        let upscale = call.path.last().is_some_and(|it| it == "upscale");
        let order = if upscale {
            self.read_upscale(&object)
        } else {
            self.read_generate(&object)
        };
        let order = match order {
            Ok(order) => order,
            Err(text) => return self.error(400, "BAD_REQUEST", &text),
        };
        if self.spent + order.tokens > self.options.tokens {
            let status = self.options.shape.out_of_tokens_code;
            return self.error(status, "OUT_OF_TOKENS", "Not enough credits");
        }
        let known: &[&str] = if upscale {
            &["image_url"]
        } else {
            &["model", "image_url", "prompt"]
        };
        let mut violations = unknown_fields(&object, known);
        violations.extend(world.unknown_headers(call, "x-api-key"));
        let number = self.accept(call, world, &order, Value::Object(object));
        let status = self
            .jobs
            .get(&number)
            .map_or("RUNNING", |job| job.timeline.at(call.now_ms));
        let body = json!({ "status": "OK", "data": self.job_body(call, number, status) });
        let mut reply =
            Reply::json(self.options.shape.submit_code, &body).about(number.to_string());
        reply.violations = violations;
        reply.report = Some((number.to_string(), status, Self::is_terminal(status)));
        reply
    }

    fn read_generate(&self, object: &Map<String, Value>) -> Result<Order, String> {
        let model = required_text(object, "model")?;
        let Some(price) = self.options.models.get(model) else {
            return Err(format!("model {model} is unknown"));
        };
        required_text(object, "prompt")?;
        match object.get("image_url") {
            Some(Value::String(url)) => check_url(url)?,
            Some(Value::Array(_)) if price.max_images < 2 => {
                return Err(format!("image_url must be one string for model {model}"));
            }
            Some(Value::Array(urls)) if urls.is_empty() || urls.len() > price.max_images => {
                return Err(format!("image_url takes up to {} images", price.max_images));
            }
            Some(Value::Array(urls)) => {
                for url in urls {
                    check_url(url.as_str().unwrap_or_default())?;
                }
            }
            Some(_) => return Err("image_url must be a string or an array".to_owned()),
            None => return Err("image_url is required".to_owned()),
        }
        Ok(Order {
            operation: "generate",
            tokens: price.tokens,
        })
    }

    fn read_upscale(&self, object: &Map<String, Value>) -> Result<Order, String> {
        check_url(required_text(object, "image_url")?)?;
        if object.contains_key("prompt") {
            return Err("an upscale takes no prompt".to_owned());
        }
        Ok(Order {
            operation: "upscale",
            tokens: self.options.upscale_tokens,
        })
    }

    fn accept(&mut self, call: &Call, world: &mut World, order: &Order, submitted: Value) -> u64 {
        let number = self.next_id;
        let nth = self.jobs.len() as u64;
        // Ids are counted over all customers, so there are gaps.
        self.next_id += 1 + world.dice.rng("productai-id", nth).u64(..3);
        let id = number.to_string();
        let timeline = self.plan(call.now_ms, world, nth);
        self.spent += order.tokens;
        world.charge(call, Provider::Productai, &id, order.tokens);
        if self.options.webhook_url.is_some() {
            let end_ms = timeline.end_ms();
            let good = timeline.at(end_ms) == "COMPLETED";
            let pending = Pending {
                provider: Provider::Productai,
                job: id.clone(),
                event: if good { "success" } else { "error" },
                subscription: String::new(),
                sequence: 0,
                attempt: 1,
                event_ms: end_ms,
                base: call.base.clone(),
            };
            world.schedule(pending);
        }
        let any = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Webp];
        let turn = world.dice.rng("productai-format", nth).choice(any);
        let job = ImageJob {
            id,
            number,
            operation: order.operation,
            submitted,
            created_ms: call.now_ms,
            request_no: call.no,
            credits: order.tokens,
            timeline,
            format: self
                .options
                .shape
                .format
                .or(turn)
                .unwrap_or(ImageFormat::Png),
            polls: Polls::default(),
            vanished: false,
        };
        self.jobs.insert(number, job);
        number
    }

    fn plan(&self, now_ms: i64, world: &World, nth: u64) -> Timeline {
        let (dice, it) = (world.dice, &self.options);
        if dice.chance("productai-instant", nth, it.instant_share) {
            return Timeline::starting(now_ms, "RUNNING").then(now_ms, "COMPLETED");
        }
        let slow = dice.chance("productai-slow", nth, it.slow_share);
        let median = match it.drift_from {
            Some(from) if nth >= from => it.drift_median_ms,
            _ if slow => it.slow_median_ms,
            _ => it.duration_median_ms,
        };
        let whole = dice.lognormal_ms("productai-time", nth, median, it.duration_sigma);
        let end_ms = now_ms + world.scaled(u64::try_from(whole).unwrap_or(0));
        let failed = dice.chance("productai-error", nth, it.error_share);
        let end = if failed { "ERROR" } else { "COMPLETED" };
        Timeline::starting(now_ms, "RUNNING").then(end_ms, end)
    }
}

/// A source image must be a web address.
fn check_url(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !url.contains(char::is_whitespace) => Ok(()),
        _ => Err("image_url must be an http address".to_owned()),
    }
}
