//! Test and production: one set of handlers for two families of routes, and how they differ in permissions (Z§1.2, Z§9).

use crate::reply::Fail;
use crate::request::Request;

/// The kind of environment that a route is for, or that an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scope {
    #[default]
    Test,
    Production,
}

/// What a role allows (Z§1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    View,
    Create,
    EditConfig,
    ManagePods,
    Restart,
    Delete,
    /// From 4.3 on (Z§12).
    Scale,
}

impl Permission {
    /// The verb that is stored for it.
    pub(crate) fn verb(self, scope: Scope) -> &'static str {
        match (scope, self) {
            (Scope::Test, Self::View) => "get_environment",
            (Scope::Test, Self::Create) => "create_environment",
            (Scope::Test, Self::EditConfig) => "config_environment",
            (Scope::Test, Self::ManagePods) => "manage_environment",
            (Scope::Test, Self::Restart) => "restart_environment",
            (Scope::Test, Self::Delete) => "delete_environment",
            (Scope::Test, Self::Scale) => "scale_environment",
            (Scope::Production, Self::View) => "get_production_environment",
            (Scope::Production, Self::Create) => "create_production_environment",
            (Scope::Production, Self::EditConfig) => "config_production_environment",
            (Scope::Production, Self::ManagePods) => "edit_production_environment",
            (Scope::Production, Self::Restart) => "restart_production_environment",
            (Scope::Production, Self::Delete) => "delete_production_environment",
            (Scope::Production, Self::Scale) => "scale_production_environment",
        }
    }
}

impl Request {
    /// Whether the user's role in the project allows it in the route's scope.
    pub(crate) fn may(&self, project: &str, permission: Permission) -> bool {
        self.user.may(project, permission.verb(self.scope))
    }

    /// 403 unless the user's role allows it; collaboration modes do not count.
    pub(crate) fn permitted(&self, project: &str, permission: Permission) -> Result<(), Fail> {
        allowed(self.may(project, permission))
    }

    /// 403 unless the user's role allows it, or a collaboration mode grants the verb of `granted` on the environment.
    ///
    /// Several production routes ask for the test verb there (Z§9 no. 6).
    pub(crate) fn permitted_on(
        &self,
        project: &str,
        env: &str,
        permission: Permission,
        granted: Scope,
    ) -> Result<(), Fail> {
        let verb = permission.verb(granted);
        allowed(self.may(project, permission) || self.user.collaborates(project, env, verb))
    }
}

/// 403 without a body where something is not allowed.
pub(crate) fn allowed(yes: bool) -> Result<(), Fail> {
    if yes { Ok(()) } else { Err(Fail::Empty(403)) }
}
