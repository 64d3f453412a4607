//! The rows that a history begins with. Each carries a mark of its own that the provider will have
//! seen, so that the checks can tell from the provider's book which row it was paid for.

use domain::{DescriptionInput, ImageInput, Input, ProductionInput};
use store::NewJob;

/// A text: one that the provider can find by its EAN, or by its name alone.
pub(crate) fn text(n: usize) -> NewJob {
    let input = Input::Description(DescriptionInput {
        ean: (!n.is_multiple_of(3)).then(|| format!("40063813339{n:02}")),
        product_name: Some(format!("product {n}")),
        ..DescriptionInput::default()
    });
    NewJob {
        client_product_id: Some(format!("SKU-{n}")),
        input: Some(input),
        ..NewJob::default()
    }
}

/// An image.
pub(crate) fn image(n: usize) -> NewJob {
    let input = Input::Image(ImageInput {
        model: Some("nanobanana".to_owned()),
        prompt: Some(format!("prompt {n}")),
        image_url: Some(format!("https://images.example/{n}.jpg")),
        ..ImageInput::default()
    });
    NewJob {
        input: Some(input),
        ..NewJob::default()
    }
}

/// A video.
pub(crate) fn video(n: usize) -> NewJob {
    let input = Input::Production(ProductionInput {
        topic: format!("topic {n}"),
        ..ProductionInput::default()
    });
    NewJob {
        input: Some(input),
        ..NewJob::default()
    }
}

/// So many of each.
pub(crate) fn some(texts: usize, images: usize, videos: usize) -> Vec<NewJob> {
    let texts = (0..texts).map(text);
    let images = (0..images).map(image);
    texts.chain(images).chain((0..videos).map(video)).collect()
}

/// A small mixed run.
pub(crate) fn mixed() -> Vec<NewJob> {
    some(14, 8, 2)
}

/// The name of the text that the provider refuses whatever happens, and its whole batch with it.
pub(crate) const POISON: &str = "poison";

/// That text.
pub(crate) fn poisoned_text() -> NewJob {
    let input = Input::Description(DescriptionInput {
        product_name: Some(POISON.to_owned()),
        ..DescriptionInput::default()
    });
    NewJob {
        client_product_id: Some("SKU-poison".to_owned()),
        input: Some(input),
        ..NewJob::default()
    }
}
