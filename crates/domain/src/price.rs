//! What an operation costs before it happens, in the provider's own unit, and which models exist.
//!
//! Owns the documented prices and the additions from the config. It knows no balance and no cap.
//! A price that nobody states is `None`, never a guess: a spend cap refuses what it cannot count.

use std::collections::BTreeMap;

use crate::request::Request;

/// Tokens for one upscale ("Magnific Precision Upscale", ProductAI API.md, "Token Pricing").
pub const UPSCALE_CREDITS: i64 = 20;

/// The documented models: name, tokens (ProductAI API.md, "Token Pricing"), source images at most
/// (the same, `POST /api/generate`, parameter `image_url`).
const DOCUMENTED: [(&str, i64, u32); 7] = [
    ("gpt-low", 2, 1),
    ("gpt-medium", 3, 1),
    ("gpt-high", 8, 1),
    ("kontext-pro", 3, 1),
    ("nanobanana", 3, 2),
    ("nanobananapro", 8, 2),
    ("seedream", 3, 2),
];

/// A model that makes images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What requests call it.
    pub name: String,
    /// Tokens for one image; None where nobody states it.
    pub credits: Option<i64>,
    /// How many source images one request may carry.
    pub max_images: u32,
}

/// The models that an account can use, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models(BTreeMap<String, Model>);

impl Models {
    /// The seven models of ProductAI's API.md.
    #[must_use]
    pub fn documented() -> Self {
        let models = DOCUMENTED.into_iter().map(|(name, credits, max_images)| {
            let name = name.to_owned();
            (
                name.clone(),
                Model {
                    name,
                    credits: Some(credits),
                    max_images,
                },
            )
        });
        Self(models.collect())
    }

    /// These models and one more from the config, under this name; it replaces one of the same
    /// name, since a provider may change a price sooner than we do.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, mut model: Model) -> Self {
        model.name = name.into();
        self.0.insert(model.name.clone(), model);
        self
    }

    /// The model of this name, which must be written exactly.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Model> {
        self.0.get(name)
    }

    /// The names of all models, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The name that somebody who wrote this probably meant; None when nothing is near.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let plain = |text: &str| -> Vec<char> {
            let letters = text.chars().filter(|c| c.is_alphanumeric());
            letters
                .flat_map(char::to_lowercase)
                .take(MAX_COMPARED)
                .collect()
        };
        let wanted = plain(name);
        let (distance, nearest) = self
            .names()
            .map(|known| (edit_distance(&wanted, &plain(known)), known))
            .min()?;
        (distance <= wanted.len() / 3).then_some(nearest)
    }
}

impl Default for Models {
    fn default() -> Self {
        Self::documented()
    }
}

/// What the operations of an account cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// Images by model.
    pub models: Models,
    /// Credits for one description. JAKOV documents no price, so only the config knows it.
    pub description: Option<i64>,
    /// Credits for one production. JARAI documents no price, so only the config knows it.
    pub production: Option<i64>,
}

impl Prices {
    /// What this request costs when the provider accepts it, failed or not (ProductAI takes tokens
    /// "when each operation starts"); None where the price is unknown.
    #[must_use]
    pub fn of(&self, request: &Request) -> Option<i64> {
        match request {
            Request::Description { .. } => self.description,
            Request::Generate { model, .. } => self.models.get(model)?.credits,
            Request::Upscale { .. } => Some(UPSCALE_CREDITS),
            Request::Production { .. } => self.production,
        }
    }
}

/// A name longer than any model's is compared up to here; what is asked for comes from outside.
const MAX_COMPARED: usize = 64;

/// How many letters must be put in, taken out or changed to make one name the other.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, l) in left.iter().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        for (cell, r) in row.iter_mut().skip(1).zip(right) {
            let changed = diagonal + usize::from(l != r);
            diagonal = *cell;
            before = changed.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_prices_are_the_vendors_table() {
        let models = Models::documented();
        let table: Vec<_> = models
            .names()
            .map(|name| {
                let model = models.get(name).unwrap();
                assert_eq!(model.name, name);
                (name, model.credits.unwrap(), model.max_images)
            })
            .collect();
        assert_eq!(
            table,
            [
                ("gpt-high", 8, 1),
                ("gpt-low", 2, 1),
                ("gpt-medium", 3, 1),
                ("kontext-pro", 3, 1),
                ("nanobanana", 3, 2),
                ("nanobananapro", 8, 2),
                ("seedream", 3, 2),
            ]
        );
    }

    #[test]
    fn the_config_adds_and_replaces_models() {
        let model = |credits| Model {
            name: String::new(),
            credits,
            max_images: 2,
        };
        let models = Models::documented()
            .with("nanobanana2", model(Some(5)))
            .with("kontext-pro", model(None));
        assert_eq!(models.names().count(), 8);
        assert_eq!(models.get("nanobanana2").unwrap().name, "nanobanana2");
        assert_eq!(models.get("kontext-pro").unwrap().credits, None);
        assert_eq!(models.get("Kontext-Pro"), None);
    }

    #[test]
    fn a_misspelt_model_finds_its_neighbour() {
        let models = Models::documented();
        for (wrong, right) in [
            ("nano-banana", Some("nanobanana")),
            ("Nano Banana Pro", Some("nanobananapro")),
            ("gpt-hihg", Some("gpt-high")),
            ("kontextpro", Some("kontext-pro")),
            ("seadream", Some("seedream")),
            ("flux", None),
            ("", None),
        ] {
            assert_eq!(models.nearest(wrong), right, "{wrong}");
        }
        assert_eq!(models.nearest(&"x".repeat(1_000_000)), None);
    }

    #[test]
    fn the_edit_distance_counts_changes() {
        let distance = |l: &str, r: &str| {
            edit_distance(
                &l.chars().collect::<Vec<_>>(),
                &r.chars().collect::<Vec<_>>(),
            )
        };
        for (l, r, expect) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("flaw", "lawn", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(l, r), expect, "{l} {r}");
        }
    }

    #[test]
    fn a_price_that_nobody_states_is_unknown() {
        let prices = Prices::default();
        let upscale = Request::Upscale {
            image: crate::request::ImageSource::Job(1),
        };
        let description = Request::Description {
            project_id: "p1".into(),
            ean: None,
            product_name: Some("Lamp".into()),
            product_brand: None,
        };
        let generate = |model: &str| Request::Generate {
            model: model.into(),
            images: vec![],
            prompt: "on oak".into(),
        };
        assert_eq!(prices.of(&upscale), Some(20));
        assert_eq!(prices.of(&description), None);
        assert_eq!(prices.of(&generate("gpt-high")), Some(8));
        assert_eq!(prices.of(&generate("nobody")), None);
        let priced = Prices {
            description: Some(1),
            ..prices
        };
        assert_eq!(priced.of(&description), Some(1));
    }
}
