//! Statements: twins side by side, so that a diff shows the line that differs.
//!
//! A statement is a constant. Every SELECT returns one column of JSON text per row, and every write
//! takes its rows as one JSON text, so that both databases share one way to encode and to decode.
//! Only [`statements!`] makes statements, and it lists what it makes: one test prepares them all.

use domain::JobKind;

/// One statement in both dialects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    /// As SQLite reads it; parameters are `?1`, `?2`, …
    pub(crate) sqlite: &'static str,
    /// As PostgreSQL reads it; parameters are `$1`, `$2`, …, each with its cast.
    pub(crate) postgres: &'static str,
}

/// The same statement for each of the three job tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerKind {
    /// For `descriptions`.
    pub(crate) description: Sql,
    /// For `image_generations`.
    pub(crate) image: Sql,
    /// For `productions`.
    pub(crate) production: Sql,
}

impl PerKind {
    /// The one for this kind's table.
    pub(crate) fn of(&self, kind: JobKind) -> &Sql {
        match kind {
            JobKind::Description => &self.description,
            JobKind::Image => &self.image,
            JobKind::Production => &self.production,
        }
    }
}

/// What [`statements!`] can list.
#[cfg(test)]
pub(crate) trait Each {
    /// The statements in it.
    fn each(&self) -> Vec<Sql>;
}

#[cfg(test)]
impl Each for Sql {
    fn each(&self) -> Vec<Sql> {
        vec![*self]
    }
}

#[cfg(test)]
impl Each for PerKind {
    fn each(&self) -> Vec<Sql> {
        vec![self.description, self.image, self.production]
    }
}

/// Declares the statements of a module, and `all()`, which lists them for the test that prepares each.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[$meta])* pub(crate) const $name: $type = $value;)+

        /// Every statement of this module.
        #[cfg(test)]
        pub(crate) fn all() -> Vec<(&'static str, $crate::sql::Sql)> {
            use $crate::sql::Each;
            let mut all = Vec::new();
            $(all.extend($name.each().into_iter().map(|sql| (stringify!($name), sql)));)+
            all
        }
    };
}

/// One statement for each kind, from a macro that takes the kind's word, its table, and the names of the
/// macros that list its columns (see `columns`).
macro_rules! per_kind {
    ($make:ident $(, $more:tt)*) => {
        $crate::sql::PerKind {
            description: $make!("description", "descriptions", description_json, description_columns $(, $more)*),
            image: $make!("image", "image_generations", image_json, image_columns $(, $more)*),
            production: $make!("production", "productions", production_json, production_columns $(, $more)*),
        }
    };
}

pub(crate) use per_kind;
pub(crate) use statements;
