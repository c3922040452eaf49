//! The kinds of objects in the words of people.

use crate::schema::model::ObjectKind;

impl ObjectKind {
    /// One of them: `foreign key`.
    pub(in crate::schema) fn words(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary key",
            Self::Unique => "unique constraint",
            Self::ForeignKey => "foreign key",
            Self::RoleMember => "role member",
            Self::ExtendedProperty => "extended property",
            Self::Other => "other object",
            _ => self.as_str(),
        }
    }

    /// Several, as a heading: `Foreign keys`.
    pub(in crate::schema) fn heading(self) -> &'static str {
        match self {
            Self::Schema => "Schemas",
            Self::Type => "Types",
            Self::Sequence => "Sequences",
            Self::Table => "Tables",
            Self::PrimaryKey => "Primary keys",
            Self::Unique => "Unique constraints",
            Self::ForeignKey => "Foreign keys",
            Self::Check => "Checks",
            Self::Index => "Indexes",
            Self::View => "Views",
            Self::Trigger => "Triggers",
            Self::Procedure => "Procedures",
            Self::Function => "Functions",
            Self::Synonym => "Synonyms",
            Self::Role => "Roles",
            Self::RoleMember => "Role members",
            Self::Permission => "Permissions",
            Self::ExtendedProperty => "Extended properties",
            Self::Other => "Other objects",
            Self::Container => "Containers",
        }
    }
}
