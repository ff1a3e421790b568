//! Makes the services of a node, and the state with which `web` calls them.

use std::sync::Arc;

use starling_protocol::CursorKey;
use starling_web::{
    AppState, WebSettings,
    drain::{Drain, Serving},
    guard::{ConnectionLimiter, Guard, Hosts, Origins, Rates, TrustedProxies},
    lane::Lanes,
};
use tokio::{sync::watch, task::JoinHandle as Task};

use super::cluster_start::ClusterHandle;
use crate::{
    auth::{Passwords, ServiceKeySealer},
    cluster::PresenceMap,
    config::{Config, ConfigError},
    data_dir::Identity,
    key_derivation::Replaceable,
    metrics::Metrics,
    services::{
        AccountsService, AccountsStart, AdministrationService, ContactsService, CursorsService, Erasure,
        LiveService, MemberRoomsService, MembershipService, MessagesService, OperationsService,
        PostingService, QuickRoomsService, Scrubbing, ServiceContext,
        secret_rotation::{KeyUsers, SaveSecret, SecretRotation, SecretRotationStart},
    },
    supervisor::Supervisor,
};

/// The parts of a node that services use.
pub struct ServicesStart<'a> {
    pub config: &'a Config,
    pub identity: &'a Identity,
    pub cluster: Option<&'a ClusterHandle>,
    pub context: ServiceContext,
    pub metrics: &'a Arc<Metrics>,
    pub presence: &'a Arc<PresenceMap>,
    pub supervisor: &'a Arc<Supervisor>,
    pub lanes: Arc<Lanes>,
    pub scrub: Scrubbing,
    pub save_secret: SaveSecret,
}

/// The services of a node.
pub struct Services {
    pub web: AppState,
    pub accounts: Arc<AccountsService>,
    pub administration: Arc<AdministrationService>,
    /// The rotation of the cluster's secret, if there is a cluster.
    pub rotation: Option<Arc<SecretRotation>>,
    pub membership: Arc<MembershipService>,
    /// Whether users are served.
    pub serving: watch::Sender<Serving>,
    /// Erasure, the resealing of service keys, and the rotation.
    pub tasks: Vec<Task<()>>,
}

impl Services {
    /// Makes the services and starts their tasks.
    pub fn start(start: ServicesStart<'_>) -> Result<Self, ConfigError> {
        let ServicesStart { config, identity, cluster, context, metrics, presence, supervisor, .. } = start;
        let SharedKeys { cursor_keys, token_secrets } = SharedKeys::new(identity, cluster);
        let (serving, drain) = Drain::new();
        let (accounts, administration) = accounts(config, identity, &context, token_secrets, cluster)?;
        let erasure = Erasure::new(context.clone(), Arc::clone(&start.lanes), start.scrub);
        let reseal = accounts.service_keys().reseal_task();
        let links = cluster.map(ClusterHandle::links);
        let membership = MembershipService::new(context.clone(), links, config.durability.copies);
        let operations = OperationsService {
            driver: context.driver.clone(),
            writer: context.writer.clone(),
            store: Arc::clone(&context.store),
            metrics: Arc::clone(metrics),
            presence: Arc::clone(presence),
            links: cluster.map(|cluster| Arc::clone(&cluster.links)),
            public_url: config.http.public_url.clone(),
            supervisor: Arc::clone(supervisor),
        };
        let users = KeyUsers {
            sealer: accounts.service_keys().sealer().clone(),
            lone_sealing_key: identity.sealing_key(),
            tokens: Arc::clone(accounts.access_tokens()),
            administration: Arc::clone(&administration),
            cursor_keys: cursor_keys.clone(),
        };
        let rotation = config.cluster.as_ref().zip(cluster).map(|(settings, handle)| {
            SecretRotation::new(SecretRotationStart {
                context: context.clone(),
                node: identity.node(),
                links: Arc::clone(&handle.links),
                peers: Arc::clone(&handle.peers),
                secrets: settings.secrets.clone(),
                file: settings.secret_file.clone(),
                keys: handle.keys.clone(),
                users,
                save: start.save_secret,
                commits: start.lanes.watch_commits(),
            })
        });
        let web = AppState {
            authentication: accounts.clone(),
            accounts: accounts.clone(),
            member_rooms: Arc::new(MemberRoomsService::new(context.clone(), accounts.service_keys().clone())),
            messages: Arc::new(MessagesService { context: context.clone() }),
            administration: administration.clone(),
            contacts: Arc::new(ContactsService { context: context.clone() }),
            quick_rooms: Arc::new(QuickRoomsService { context: context.clone() }),
            posting: Arc::new(PostingService { context: context.clone() }),
            cursors: Arc::new(CursorsService {
                context: context.clone(),
                lanes: Arc::clone(&start.lanes),
                cursor_keys,
            }),
            operations: Arc::new(operations),
            live: Arc::new(LiveService { context, presence: Arc::clone(presence) }),
            presence: presence.clone(),
            lanes: start.lanes,
            groups: Arc::default(),
            guard: Arc::new(guard(config, metrics)),
            metrics: Arc::new(metrics.web.clone()),
            settings: Arc::new(settings(config, identity)),
            drain,
        };
        let mut tasks = vec![supervisor.start(erasure), supervisor.start(reseal)];
        tasks.extend(rotation.as_ref().map(|rotation| supervisor.start(rotation.task())));
        let membership = Arc::new(membership);
        Ok(Self { web, accounts, administration, rotation, membership, serving, tasks })
    }
}

/// The cursor keys and the token secrets, those in use first: the cluster's, or those of a lone node.
struct SharedKeys {
    cursor_keys: Replaceable<Vec<CursorKey>>,
    token_secrets: ([u8; 32], Vec<[u8; 32]>),
}

impl SharedKeys {
    fn new(identity: &Identity, cluster: Option<&ClusterHandle>) -> Self {
        let Some(ClusterHandle { keys, .. }) = cluster else {
            let cursor_keys = Replaceable::new(vec![CursorKey::new(&identity.secret())]);
            return Self { cursor_keys, token_secrets: (identity.token_secret(), Vec::new()) };
        };
        let cursor_keys = keys.all().map(|keys| CursorKey::new(&keys.cursor_key)).collect();
        let others = keys.other.iter().map(|keys| keys.token_secret).collect();
        Self { cursor_keys: Replaceable::new(cursor_keys), token_secrets: (keys.active.token_secret, others) }
    }
}

fn accounts(
    config: &Config,
    identity: &Identity,
    context: &ServiceContext,
    token_secrets: ([u8; 32], Vec<[u8; 32]>),
    cluster: Option<&ClusterHandle>,
) -> Result<(Arc<AccountsService>, Arc<AdministrationService>), ConfigError> {
    let passwords = Arc::new(Passwords::start(&context.environment, config.auth.cost, config.auth.workers)?);
    let (token_secret, also) = &token_secrets;
    let administration =
        AdministrationService::new(context.clone(), Arc::clone(&passwords), token_secret, also);
    let accounts = AccountsService::new(AccountsStart {
        context: context.clone(),
        token_secrets,
        service_keys: service_keys(identity, cluster),
        passwords,
        mode: config.registration,
        members: cluster.map(|cluster| Arc::clone(&cluster.members)),
    });
    Ok((Arc::new(accounts), Arc::new(administration)))
}

/// Seals under the secret of the cluster, if there is one, and still opens what the node sealed while it was alone.
fn service_keys(identity: &Identity, cluster: Option<&ClusterHandle>) -> ServiceKeySealer {
    match cluster {
        Some(ClusterHandle { keys, .. }) => {
            let others = keys.other.iter().map(|keys| keys.sealing_key).chain([identity.sealing_key()]);
            ServiceKeySealer::new(keys.active.sealing_key, &others.collect::<Vec<_>>())
        }
        None => ServiceKeySealer::new(identity.sealing_key(), &[]),
    }
}

fn settings(config: &Config, identity: &Identity) -> WebSettings {
    WebSettings {
        node: identity.node().to_string(),
        quick_rooms_enabled: config.guests_enabled,
        registration: config.registration,
        public_url: config.http.public_url.clone(),
        metrics: config.serves_metrics_to_users(),
    }
}

pub(super) fn guard(config: &Config, metrics: &Metrics) -> Guard {
    Guard {
        proxies: TrustedProxies::new(config.http.trusted_proxies.clone()),
        origins: Origins::new(config.http.public_url.as_deref(), config.http.allowed_origins.clone()),
        hosts: Hosts::new(config.http.public_url.as_deref(), config.http.allowed_hosts.clone()),
        https: config.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://")),
        rates: Rates::new(&config.limits, metrics.web.rate_limited.clone()),
        connections_by_network: ConnectionLimiter::new(config.connections_per_address),
    }
}
