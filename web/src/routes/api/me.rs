//! The caller's own account: profile, password, settings.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Deserializer};
use starling_protocol::{
    DisplayName, ErrorCode, Username,
    frame::client::parse_time,
    settings::{self, parse_language},
    texts,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{caller::Caller, extract::Json};
use crate::{
    guard::{Guard, Quota, Rates},
    objects::{Me, NotifyLevel, Settings, Theme},
    openapi::{
        errors::{BadCredentials, ErrorResponses, Forbidden, Invalid, UsernameTaken},
        tag,
    },
    problem::{self, Problem},
    service::{Accounts, Identity, ProfileChange, Refusal, Secret, SettingsChange},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(get_me, change_me, delete_me))
        .routes(routes!(change_password))
        .routes(routes!(get_settings, change_settings))
}

/// Deserializes a field so that `null` differs from a missing field.
fn null_or_value<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Get your account
#[utoipa::path(
    get, path = "/api/v1/me", tag = tag::ACCOUNTS,
    responses((status = 200, description = "Your account.", body = Me)),
)]
async fn get_me(State(accounts): State<Arc<dyn Accounts>>, Caller(who): Caller) -> Result<Json<Me>, Problem> {
    Ok(Json(accounts.me(who).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "null differs from a missing field")]
struct ChangeMe {
    /// A new username, once, if your account was renamed (`renamed` is true).
    #[schema(min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_.-]+$")]
    username: Option<String>,
    /// The name to show; null shows the username.
    #[serde(default, deserialize_with = "null_or_value")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    display_name: Option<Option<String>>,
}

/// Change your account
///
/// Fields that you leave out stay as they are.
#[utoipa::path(
    patch, path = "/api/v1/me", tag = tag::ACCOUNTS,
    responses(
        (status = 200, description = "Your account as it is now.", body = Me),
        ErrorResponses<(Forbidden, UsernameTaken, Invalid)>,
    ),
)]
async fn change_me(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Json(body): Json<ChangeMe>,
) -> Result<Json<Me>, Problem> {
    let mut invalid = problem::Invalid::default();
    let username = invalid.check("username", body.username.map(|name| Username::parse(&name)).transpose());
    let display_name = body.display_name.map(|name| name.map(|name| DisplayName::parse(&name)).transpose());
    let display_name = invalid.check("display_name", display_name.transpose());
    let (Some(username), Some(display_name)) = (username, display_name) else { return Err(invalid.into()) };
    Ok(Json(accounts.change_profile(who, ProfileChange { username, display_name }).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeleteMe {
    /// Your password.
    #[schema(format = Password)]
    password: String,
}

/// Delete your account
///
/// This is final: your profile is erased, your messages stay under 'Deleted account', and nobody else gets your name. If you
/// are the last administrator, appoint another one first. You can't do this with a personal access token; log in and use an
/// access token.
#[utoipa::path(
    delete, path = "/api/v1/me", tag = tag::ACCOUNTS,
    responses((status = 204, description = "Your account was deleted."), ErrorResponses<(BadCredentials, Forbidden)>),
)]
async fn delete_me(
    State(accounts): State<Arc<dyn Accounts>>,
    State(guard): State<Arc<Guard>>,
    Caller(who): Caller,
    Json(body): Json<DeleteMe>,
) -> Result<StatusCode, Problem> {
    limit_password_guesses(&guard.rates, who, accounts.delete(who, Secret(body.password))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts an action that needs the user's password against the limit of failed logins, so that somebody who has stolen a
/// token can't guess the password.
pub async fn limit_password_guesses<T>(
    rates: &Rates,
    who: Identity,
    action: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    rates.check(Quota::LoginsPerAccount, &who.user)?;
    let result = action.await;
    if !matches!(&result, Err(refusal) if refusal.code == ErrorCode::BadCredentials) {
        rates.refund(Quota::LoginsPerAccount, &who.user);
    }
    result
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    /// Your password.
    #[schema(format = Password)]
    current_password: String,
    /// The new password: 8 characters to 256 bytes, none of the most common, and not made of the username or the name of
    /// the service.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    new_password: String,
    /// Whether your personal access tokens stay valid.
    #[serde(default)]
    keep_tokens: bool,
}

/// Change your password
///
/// All your other sessions end. Your personal access tokens end too, unless `keep_tokens` is true. You can't do this with a
/// personal access token; log in and use an access token.
#[utoipa::path(
    post, path = "/api/v1/me/password", tag = tag::ACCOUNTS,
    responses((status = 204, description = "Your password was changed."), ErrorResponses<(BadCredentials, Forbidden, Invalid)>),
)]
async fn change_password(
    State(accounts): State<Arc<dyn Accounts>>,
    State(guard): State<Arc<Guard>>,
    Caller(who): Caller,
    Json(body): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let mut invalid = problem::Invalid::default();
    let me = accounts.me(who).await?;
    let judged = accounts.validate_new_password(&body.new_password, &me.username);
    if invalid.check("new_password", judged).is_none() {
        return Err(invalid.into());
    }
    let (present, new) = (Secret(body.current_password), Secret(body.new_password));
    limit_password_guesses(&guard.rates, who, accounts.change_password(who, present, new, body.keep_tokens))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get your settings
#[utoipa::path(
    get, path = "/api/v1/me/settings", tag = tag::ACCOUNTS,
    responses((status = 200, description = "Your settings.", body = Settings)),
)]
async fn get_settings(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
) -> Result<Json<Settings>, Problem> {
    Ok(Json(accounts.settings(who).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "null differs from a missing field")]
struct ChangeSettings {
    /// The theme of pages.
    theme: Option<Theme>,
    /// A language tag (BCP 47).
    #[schema(min_length = 1, max_length = 35, pattern = "^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*$")]
    language: Option<String>,
    /// The messages to notify about, in rooms without a level of their own.
    notify: Option<NotifyLevel>,
    /// The end of "do not disturb"; null turns it off.
    #[serde(default, deserialize_with = "null_or_value")]
    #[schema(value_type = Option<String>, format = DateTime)]
    dnd_until: Option<Option<String>>,
}

/// Change your settings
///
/// Fields that you leave out stay as they are.
#[utoipa::path(
    patch, path = "/api/v1/me/settings", tag = tag::ACCOUNTS,
    responses((status = 200, description = "Your settings as they are now.", body = Settings), ErrorResponses<Invalid>),
)]
async fn change_settings(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Json(body): Json<ChangeSettings>,
) -> Result<Json<Settings>, Problem> {
    let mut invalid = problem::Invalid::default();
    let tag = body.language.map(|tag| parse_language(&tag).ok_or(texts::request::MUST_BE_LANGUAGE));
    let tag = invalid.check("language", tag.transpose());
    let time = |text: String| parse_time(&text).ok_or(texts::request::MUST_BE_TIME);
    let dnd_until_ms = body.dnd_until.map(|until| until.map(time).transpose()).transpose();
    let dnd_until_ms = invalid.check("dnd_until", dnd_until_ms);
    let (Some(language), Some(dnd_until_ms)) = (tag, dnd_until_ms) else { return Err(invalid.into()) };
    let theme = body.theme.map(|theme| match theme {
        Theme::System => settings::Theme::System,
        Theme::Light => settings::Theme::Light,
        Theme::Dark => settings::Theme::Dark,
    });
    let notify = body.notify.map(Into::into);
    let change = SettingsChange { theme, language, notify, dnd_until_ms };
    Ok(Json(accounts.change_settings(who, change).await?))
}
