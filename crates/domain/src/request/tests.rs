//! Tables of rows and what comes of them.

use proptest::prelude::*;

use super::*;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const IMAGE: &str = "https://images.example/lamp.jpg";

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn ids() -> Defaults {
    Defaults {
        project_id: text("p1"),
        jarai_account_id: text(ID),
        language_id: text(ID),
        country_id: text(ID),
        avatar_id: text(ID),
        ..Defaults::default()
    }
}

fn checked(input: &Input) -> Result<Checked, Invalid> {
    check(input, &ids(), &Models::documented())
}

/// The code of the refusal; every refusal is a sentence that reads alone.
#[track_caller]
fn refused(input: &Input, code: &str) -> String {
    let invalid = checked(input).unwrap_err();
    assert_eq!(invalid.code, code, "{invalid}");
    assert!(
        invalid.message.len() > 20 && invalid.message.len() < 400,
        "{invalid}"
    );
    invalid.message
}

fn description(ean: &str, name: &str) -> Input {
    Input::Description(DescriptionInput {
        ean: text(ean),
        product_name: text(name),
        ..DescriptionInput::default()
    })
}

fn generate() -> ImageInput {
    ImageInput {
        model: text("nanobanana"),
        prompt: text("on an oak table"),
        image_url: text(IMAGE),
        ..ImageInput::default()
    }
}

fn upscale() -> ImageInput {
    ImageInput {
        operation: "upscale".into(),
        image_url: text(IMAGE),
        ..ImageInput::default()
    }
}

fn production() -> ProductionInput {
    ProductionInput {
        topic: "Lamps that last".into(),
        ..ProductionInput::default()
    }
}

#[test]
fn a_description_needs_a_barcode_or_a_name() {
    for (ean, name) in [("", ""), ("  ", "\t"), ("'", "")] {
        refused(&description(ean, name), "missing_product");
    }
    let checked = checked(&description(" '4006381333931 ", "  Marker ")).unwrap();
    assert_eq!(
        checked.request,
        Request::Description {
            project_id: "p1".into(),
            ean: text("4006381333931"),
            product_name: text("Marker"),
            product_brand: None,
        }
    );
    assert_eq!(checked.warning, None);
}

#[test]
fn a_description_without_a_project_names_the_two_places_to_set_it() {
    let row = description("4006381333931", "");
    let invalid = check(&row, &Defaults::default(), &Models::documented()).unwrap_err();
    assert_eq!(invalid.code, "missing_project_id");
    assert!(
        invalid.message.contains("the account has no default"),
        "{invalid}"
    );
}

#[test]
fn the_row_wins_over_the_accounts_default() {
    let mut row = DescriptionInput {
        ean: text("4006381333931"),
        ..Default::default()
    };
    for (own, expect) in [(Some("p2"), "p2"), (Some("  "), "p1"), (None, "p1")] {
        row.project_id = own.map(str::to_owned);
        match checked(&Input::Description(row.clone())).unwrap().request {
            Request::Description { project_id, .. } => assert_eq!(project_id, expect),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_odd_barcode_is_sent_as_it_is_with_a_warning() {
    for (ean, odd) in [
        (
            "1234567890123",
            "its check digit is 3, and 8 would be right",
        ),
        ("2000000123752", "in-store"),
        ("4905707", "7 digits"),
        ("LAMP-7", "not made of digits"),
    ] {
        let checked = checked(&description(ean, "")).unwrap();
        let warning = checked.warning.unwrap();
        assert!(warning.contains(ean) && warning.contains(odd), "{warning}");
        match checked.request {
            Request::Description { ean: sent, .. } => assert_eq!(sent.as_deref(), Some(ean)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_barcode_that_lost_its_digits_is_refused() {
    refused(&description("8,02E+12", "Lamp"), "ean_digits_lost");
}

#[test]
fn a_generation_carries_one_image_or_two() {
    let mut row = generate();
    row.second_image_url = text(" https://images.example/table.png ");
    let two = checked(&Input::Image(row.clone())).unwrap().request;
    assert_eq!(
        two,
        Request::Generate {
            model: "nanobanana".into(),
            images: vec![
                ImageSource::Url(IMAGE.into()),
                ImageSource::Url("https://images.example/table.png".into()),
            ],
            prompt: "on an oak table".into(),
        }
    );
    row.model = text("gpt-low");
    let message = refused(&Input::Image(row), "too_many_images");
    assert!(
        message.contains("nanobanana, nanobananapro, seedream"),
        "{message}"
    );
}

#[test]
fn the_image_of_another_job_can_be_the_source() {
    let row = ImageInput {
        image_url: None,
        source_job: Some(7),
        ..generate()
    };
    match checked(&Input::Image(row)).unwrap().request {
        Request::Generate { images, .. } => assert_eq!(images, [ImageSource::Job(7)]),
        other => panic!("{other:?}"),
    }
    let row = ImageInput {
        image_url: None,
        source_job: Some(7),
        ..upscale()
    };
    let request = checked(&Input::Image(row)).unwrap().request;
    assert_eq!(
        request,
        Request::Upscale {
            image: ImageSource::Job(7)
        }
    );
}

#[test]
fn an_image_row_that_breaks_a_rule_is_refused() {
    type Change = fn(&mut ImageInput);
    let table: [(Change, &str); 11] = [
        (|row| row.operation = "enlarge".into(), "unknown_operation"),
        (|row| row.operation.clear(), "unknown_operation"),
        (|row| row.model = None, "missing_model"),
        (|row| row.model = text("flux"), "unknown_model"),
        (|row| row.prompt = text(" \n"), "missing_prompt"),
        (
            |row| row.prompt = text(&"x".repeat(10_001)),
            "text_too_long",
        ),
        (|row| row.prompt = text("a\0b"), "control_character"),
        (|row| row.image_url = None, "missing_image_url"),
        (|row| row.source_job = Some(7), "two_image_sources"),
        (
            |row| (row.image_url, row.source_job) = (None, Some(0)),
            "invalid_source_job",
        ),
        (
            |row| row.second_image_url = text("table.png"),
            "invalid_image_url",
        ),
    ];
    for (change, code) in table {
        let mut row = generate();
        change(&mut row);
        refused(&Input::Image(row), code);
    }
}

#[test]
fn an_upscale_carries_nothing_but_its_image() {
    type Change = fn(&mut ImageInput);
    let table: [(Change, &str); 4] = [
        (|row| row.image_url = None, "missing_image_url"),
        (
            |row| row.prompt = text("sharper"),
            "upscale_takes_no_prompt",
        ),
        (|row| row.model = text("gpt-low"), "upscale_takes_no_model"),
        (
            |row| row.second_image_url = text(IMAGE),
            "upscale_takes_one_image",
        ),
    ];
    for (change, code) in table {
        let mut row = upscale();
        change(&mut row);
        refused(&Input::Image(row), code);
    }
}

#[test]
fn an_upscale_ignores_the_accounts_default_model() {
    let defaults = Defaults {
        model: text("gpt-low"),
        ..Defaults::default()
    };
    let models = Models::documented();
    assert!(check(&Input::Image(upscale()), &defaults, &models).is_ok());
    let row = ImageInput {
        model: None,
        ..generate()
    };
    match check(&Input::Image(row), &defaults, &models)
        .unwrap()
        .request
    {
        Request::Generate { model, .. } => assert_eq!(model, "gpt-low"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    let row = ImageInput {
        model: text("nano-banana"),
        ..generate()
    };
    assert_eq!(
        refused(&Input::Image(row), "unknown_model"),
        "model \"nano-banana\" is unknown, did you mean nanobanana? The account knows gpt-high, \
         gpt-low, gpt-medium, kontext-pro, nanobanana, nanobananapro, seedream"
    );
}

#[test]
fn an_image_url_must_be_one_that_a_provider_can_fetch() {
    let check = |url: &str| {
        checked(&Input::Image(ImageInput {
            image_url: text(url),
            ..generate()
        }))
        .map(|_| ())
    };
    for url in [
        IMAGE,
        "http://images.example/a.jpg",
        "HTTPS://images.example/a.jpg",
        "https://bücher.example/ä.jpg?x=1&y=a@b#z",
        "https://[2001:db8::1]:8443/a.jpg",
        &format!("https://images.example/{}", "a".repeat(2_025)),
    ] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for url in [
        "images.example/a.jpg",
        "//images.example/a.jpg",
        "/catalog/a.jpg",
        "localhost:8080/a.jpg",
        "ftp://images.example/a.jpg",
        "data:image/png;base64,AAAA",
        "https://",
        "https:///",
        "https:/images.example/a.jpg",
        "https://images.example/a b.jpg",
        "https://images.example/a\nb.jpg",
        "https://a.example/1.jpg,https://a.example/2.jpg x",
        "https://user@images.example/a.jpg",
        "https://:secret@images.example/a.jpg",
        &format!("https://images.example/{}", "a".repeat(2_026)),
    ] {
        assert_eq!(
            check(url).map_err(|e| e.code),
            Err("invalid_image_url"),
            "{url}"
        );
    }
}

#[test]
fn a_message_shows_no_secret_of_a_url() {
    for url in [
        "https://user:hunter2@images.example/a.jpg",
        "https://user:hunter2@images.example/a.jpg?x=@",
        "ftp://images.example/a.jpg?sig=hunter2",
        "user:hunter2@images.example/a.jpg",
    ] {
        let row = ImageInput {
            image_url: text(url),
            ..generate()
        };
        let message = refused(&Input::Image(row), "invalid_image_url");
        assert!(
            !message.contains("hunter2") && message.contains("images.example"),
            "{message}"
        );
    }
}

#[test]
fn a_production_takes_its_ids_from_row_or_account() {
    let own = "00000000-0000-4000-8000-000000000001";
    let row = ProductionInput {
        avatar_id: text(own),
        ..production()
    };
    assert_eq!(
        checked(&Input::Production(row)).unwrap().request,
        Request::Production {
            account_id: ID.into(),
            topic: "Lamps that last".into(),
            language_id: ID.into(),
            country_id: ID.into(),
            avatar_id: own.into(),
            project_type_slug: None,
            metadata_md: None,
        }
    );
    let nothing = Defaults::default();
    let invalid = check(
        &Input::Production(production()),
        &nothing,
        &Models::documented(),
    );
    assert_eq!(invalid.unwrap_err().code, "missing_jarai_account_id");
}

#[test]
fn a_production_row_that_breaks_a_rule_is_refused() {
    type Change = fn(&mut ProductionInput);
    let table: [(Change, &str); 10] = [
        (|row| row.topic = "  ".into(), "missing_topic"),
        (|row| row.topic = "x".repeat(501), "text_too_long"),
        // 251 characters, 502 UTF-16 units.
        (|row| row.topic = "💡".repeat(251), "text_too_long"),
        (|row| row.topic = "a\u{85}b".into(), "control_character"),
        (|row| row.topic = "a\rb".into(), "control_character"),
        (
            |row| row.metadata_md = text(&"x".repeat(4_097)),
            "text_too_long",
        ),
        (|row| row.language_id = text("en"), "invalid_uuid"),
        (
            |row| row.country_id = text(&ID.replace('3', "g")),
            "invalid_uuid",
        ),
        (
            |row| row.avatar_id = text(&ID.replace('-', "")),
            "invalid_uuid",
        ),
        (
            |row| row.project_type_slug = text(&"x".repeat(1_001)),
            "text_too_long",
        ),
    ];
    for (change, code) in table {
        let mut row = production();
        change(&mut row);
        refused(&Input::Production(row), code);
    }
}

#[test]
fn texts_at_their_limits_are_sent_uncut() {
    let topic = "💡".repeat(250);
    let metadata = format!("# Lamp\r\n\tlast line \n{}", "x".repeat(4_096 - 21));
    let row = ProductionInput {
        topic: topic.clone(),
        metadata_md: text(&metadata),
        ..production()
    };
    match checked(&Input::Production(row)).unwrap().request {
        Request::Production {
            topic: sent,
            metadata_md,
            ..
        } => {
            assert_eq!(sent, topic);
            assert_eq!(metadata_md, Some(metadata));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_reads_from_json_by_its_column_names() {
    let row = r#"{"kind":"image","image_url":"https://images.example/lamp.jpg","prompt":null}"#;
    let input: Input = serde_json::from_str(row).unwrap();
    let expect = ImageInput {
        image_url: text(IMAGE),
        ..ImageInput::default()
    };
    assert_eq!(input, Input::Image(expect));
    assert_eq!(input.kind(), JobKind::Image);
    let row = r#"{"topic":"Lamps","jarai_account_id":"a","metadata_md":"m"}"#;
    let input: ProductionInput = serde_json::from_str(row).unwrap();
    assert_eq!(
        (input.jarai_account_id, input.metadata_md),
        (text("a"), text("m"))
    );
}

/// Any of these in a column, so that rows are wrong in every way and in several at once.
fn cell() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(text(ID)),
        Just(text(IMAGE)),
        Just(text("seedream")),
        Just(text("upscale")),
        Just(text("8E12")),
        Just(text("a\u{7}b")),
        Just(text(&"x".repeat(12_000))),
        any::<String>().prop_map(Some),
    ]
}

proptest! {
    /// Every code that can come out stands in the module's table.
    #[test]
    fn every_row_is_sent_or_refused_with_a_documented_code(
        cells in prop::array::uniform6(cell()),
        kind in 0..3,
        is_upscale: bool,
        source_job in prop::option::of(-1_i64..3),
    ) {
        let [a, b, c, d, e, f] = cells;
        let input = match kind {
            0 => Input::Description(DescriptionInput {
                project_id: a, ean: b, product_name: c, product_brand: d,
            }),
            1 => Input::Image(ImageInput {
                operation: if is_upscale { text("upscale") } else { e }.unwrap_or_default(),
                model: a, prompt: b, image_url: c, second_image_url: d, source_job,
            }),
            _ => Input::Production(ProductionInput {
                jarai_account_id: a, topic: b.unwrap_or_default(), language_id: c,
                country_id: d, project_type_slug: e, metadata_md: f, ..Default::default()
            }),
        };
        for defaults in [ids(), Defaults::default()] {
            if let Err(invalid) = check(&input, &defaults, &Models::documented()) {
                let table = include_str!("../request.rs").lines().filter(|l| l.starts_with("//! |"));
                let code = format!("`{}`", invalid.code);
                prop_assert!(table.into_iter().any(|row| row.contains(&code)), "{}", code);
                prop_assert!(invalid.message.len() < 600, "{}", invalid);
            }
        }
    }
}

/// What only a look at the image can tell (reachable, below 10 MB, its format) is not known here.
#[test]
fn trap_18_what_a_url_alone_tells_of_a_source_image_is_checked_before_paying() {
    for url in [
        "images.example/lamp.jpg",
        "ftp://images.example/lamp.jpg",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://user:word@images.example/lamp.jpg",
        "",
    ] {
        let input = Input::Image(ImageInput {
            operation: "upscale".to_owned(),
            image_url: text(url),
            ..ImageInput::default()
        });
        assert!(checked(&input).is_err(), "{url}");
    }
}
