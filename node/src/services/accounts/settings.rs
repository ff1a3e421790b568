//! The settings of an account, the same on every device.

use starling_protocol::{EventDraft, Scope, event::SettingsChanged, settings};
use starling_web::{
    objects::{Settings, Theme},
    service::{Identity, Refusal, SettingsChange},
};

use super::{AccountsService, unauthenticated};
use crate::{
    services::render,
    store::{Decision, Tables},
};

impl AccountsService {
    pub(super) async fn load_settings(&self, who: Identity) -> Result<Settings, Refusal> {
        let account = self.context.read_records(move |records| records.existing_account(who.user)).await?;
        Ok(settings_object(&account.ok_or_else(unauthenticated)?.settings()))
    }

    pub(super) async fn update_settings(
        &self,
        who: Identity,
        change: SettingsChange,
    ) -> Result<Settings, Refusal> {
        let decide = move |tables: &Tables<'_>| {
            let Some(account) = tables.records.existing_account(who.user)? else {
                return Ok(Decision::Refuse(unauthenticated()));
            };
            let before = account.settings();
            let settings = apply_change(before.clone(), &change);
            if settings == before {
                return Ok(Decision::Nothing);
            }
            let draft = EventDraft::new(Scope::user(who.user), SettingsChanged { settings });
            Ok(Decision::Write(vec![draft.above(account.changed_at())]))
        };
        self.context.commit_and_replicate(decide).await?;
        self.load_settings(who).await
    }
}

fn apply_change(before: settings::Settings, change: &SettingsChange) -> settings::Settings {
    settings::Settings {
        theme: change.theme.unwrap_or(before.theme),
        language: change.language.clone().unwrap_or(before.language),
        notify: change.notify.unwrap_or(before.notify),
        dnd_until_ms: change.dnd_until_ms.unwrap_or(before.dnd_until_ms),
    }
}

fn settings_object(settings: &settings::Settings) -> Settings {
    Settings {
        theme: match settings.theme {
            settings::Theme::System => Theme::System,
            settings::Theme::Light => Theme::Light,
            settings::Theme::Dark => Theme::Dark,
        },
        language: settings.language.to_string(),
        notify: settings.notify.into(),
        dnd_until: settings.dnd_until_ms.map(render::time_ms),
    }
}
