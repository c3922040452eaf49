// Everything that one environment of dbvc needs in Azure, save the SQL database that it manages, which is there already.
targetScope = 'resourceGroup'

@description('The environment that the app serves, in lower case letters and digits; prod is the guarded one.')
@minLength(2)
@maxLength(7)
param environmentName string

@description('Where everything is made. It must be a region that has Flex Consumption.')
param location string = resourceGroup().location

@description('The SQL server of the home database, such as example.database.windows.net. Heeded when there is no connection string.')
param sqlServer string = ''

@description('The home database. Heeded when there is no connection string.')
param sqlDatabase string = ''

@description('The home database in ADO.NET form. Kept in the vault. Leave it empty to log in as the app.')
@secure()
param sqlConnectionString string = ''

@description('The id of the home database in the inventory.')
param homeDatabaseId string = 'lpa-bloom-sql-${environmentName}'

@description('The Cosmos DB database that migrations manage, in an account of its own; empty: none.')
param managedCosmosDatabase string = 'lpa-dbvc-${environmentName}'

@description('When the drift timer runs, and when the timer that finishes what a dead instance left. Six fields.')
param driftSchedule string = '0 0 */6 * * *'
param runsSchedule string = '0 * * * * *'

@description('What a run does when it finds drift first.')
@allowed(['warn', 'refuse'])
param onDrift string = 'warn'

@description('Where drift and failures are announced. Kept in the vault, since who knows it may write to the channel. Empty: nowhere.')
@secure()
param alertWebhook string = ''

@description('Further app settings; a deployment replaces all settings of the app.')
@secure()
param furtherSettings object = {}

@description('Memory of an instance, in MB.')
@allowed([512, 2048, 4096])
param instanceMemory int = 2048

@description('Days that logs are kept.')
param logRetentionDays int = 30

@description('Whether the account with the audit trail, and the vault, are kept from being deleted.')
param protectFromDeletion bool = false

@description('Who may write secrets into the vault besides this deployment: the object id of a person, group or principal.')
param operatorPrincipalId string = ''

var token = take(uniqueString(resourceGroup().id, environmentName), 8)
var suffix = '${environmentName}-${token}'
var tags = { application: 'dbvc', environment: environmentName }
var packageContainer = 'app-package'

// Built-in roles, the same in every tenant.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
// A role of Cosmos DB's own data plane.
var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'

// ---- What is observed

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-dbvc-${suffix}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-dbvc-${suffix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

// ---- The storage of the host: package, keys, timers. By identity only.

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'stdbvc${environmentName}${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: packageContainer
}

// ---- The archive: audit trail, schema snapshots, copy of the registry. No key opens it.

resource archive 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' = {
  name: 'cosmos-dbvc-${suffix}'
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: [{ name: 'EnableServerless' }]
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: false }]
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: { tier: 'Continuous7Days' }
    }
  }
}

resource archiveDatabase 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15' = {
  parent: archive
  name: 'version-control'
  properties: {
    resource: { id: 'version-control' }
  }
}

resource changeEvents 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = {
  parent: archiveDatabase
  name: 'change-events'
  properties: {
    resource: {
      id: 'change-events'
      partitionKey: { paths: ['/databaseId'], kind: 'Hash', version: 2 }
    }
  }
}

resource schemaSnapshots 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = {
  parent: archiveDatabase
  name: 'schema-snapshots'
  properties: {
    resource: {
      id: 'schema-snapshots'
      partitionKey: { paths: ['/databaseId'], kind: 'Hash', version: 2 }
      // Nothing expires by itself; a scheduled snapshot says so on its own.
      defaultTtl: -1
    }
  }
}

resource migrations 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = {
  parent: archiveDatabase
  name: 'migrations'
  properties: {
    resource: {
      id: 'migrations'
      partitionKey: { paths: ['/databaseId'], kind: 'Hash', version: 2 }
    }
  }
}

resource archiveRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-11-15' = {
  parent: archive
  name: guid(archive.id, app.id, cosmosDataContributor)
  properties: {
    roleDefinitionId: '${archive.id}/sqlRoleDefinitions/${cosmosDataContributor}'
    principalId: app.identity.principalId
    scope: archive.id
  }
}

resource archiveLock 'Microsoft.Authorization/locks@2020-05-01' = if (protectFromDeletion) {
  scope: archive
  name: 'keep-the-audit-trail'
  properties: { level: 'CanNotDelete', notes: 'The audit trail of dbvc' }
}

// ---- The Cosmos DB database that migrations manage. Making and deleting containers takes a key, which the archive
// has not; so this is another account, and whoever has its key cannot touch the audit trail.

resource managed 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' = if (!empty(managedCosmosDatabase)) {
  name: 'cosmos-managed-${suffix}'
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: [{ name: 'EnableServerless' }]
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: false }]
    consistencyPolicy: { defaultConsistencyLevel: 'Session' }
    disableLocalAuth: false
    minimalTlsVersion: 'Tls12'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: { tier: 'Continuous7Days' }
    }
  }
}

resource managedDatabase 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15' = if (!empty(managedCosmosDatabase)) {
  parent: managed
  // A name is needed even where the resource is not made.
  name: empty(managedCosmosDatabase) ? 'none' : managedCosmosDatabase
  properties: {
    resource: { id: managedCosmosDatabase }
  }
}

// ---- Secrets

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: 'kv-dbvc-${suffix}'
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // It can be switched on, and never off again.
    enablePurgeProtection: protectFromDeletion ? true : null
  }
}

resource sqlSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(sqlConnectionString)) {
  parent: vault
  name: 'sql-connection-string'
  properties: { value: sqlConnectionString }
}

resource alertSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(alertWebhook)) {
  parent: vault
  name: 'alert-webhook'
  properties: { value: alertWebhook }
}

resource managedSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(managedCosmosDatabase)) {
  parent: vault
  name: 'managed-cosmos-connection-string'
  properties: { value: managed!.listConnectionStrings().connectionStrings[0].connectionString }
}

resource vaultRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, app.id, keyVaultSecretsUser)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource operatorRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: vault
  name: guid(vault.id, operatorPrincipalId, keyVaultSecretsOfficer)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
    principalId: operatorPrincipalId
  }
}

// ---- The app

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-dbvc-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-dbvc-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: { type: 'SystemAssignedIdentity' }
        }
      }
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: 40
      }
    }
  }
  dependsOn: [packages]
}

// Publishing takes a token of Entra ID, never a user and password.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

var hostRoles = [storageBlobDataOwner, storageQueueDataContributor, storageTableDataContributor]

resource storageRoles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in hostRoles: {
  scope: storage
  name: guid(storage.id, app.id, role)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
  }
}]

resource insightsRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, app.id, monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

var sqlByIdentity = {
  SQL_SERVER: sqlServer
  SQL_DATABASE: sqlDatabase
}
var sqlBySecret = {
  SQL_CONNECTION_STRING: '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/sql-connection-string)'
}
var sqlSettings = empty(sqlConnectionString) ? sqlByIdentity : sqlBySecret

var alertBySecret = {
  DBVC_ALERT_WEBHOOK: '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/alert-webhook)'
}
var alertSettings = empty(alertWebhook) ? {} : alertBySecret

// After the roles: a reference to the vault is resolved, and the storage opened, as soon as the settings are there.
resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(
    {
      AzureWebJobsStorage__accountName: storage.name
      AzureWebJobsStorage__credential: 'managedidentity'
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD'
      DBVC_ENVIRONMENT: environmentName
      DBVC_DATABASE_ID: homeDatabaseId
      DBVC_COSMOS_ENDPOINT: archive.properties.documentEndpoint
      DBVC_COSMOS_DATABASE: archiveDatabase.name
      DBVC_DRIFT_SCHEDULE: driftSchedule
      DBVC_RUNS_SCHEDULE: runsSchedule
      DBVC_ON_DRIFT: onDrift
    },
    sqlSettings,
    alertSettings,
    furtherSettings
  )
  dependsOn: [storageRoles, insightsRole, vaultRole, archiveRole, sqlSecret, alertSecret, changeEvents, schemaSnapshots, migrations]
}

output functionAppName string = app.name
output baseUrl string = 'https://${app.properties.defaultHostName}'
output keyVaultName string = vault.name
output archiveEndpoint string = archive.properties.documentEndpoint

@description('How the inventory refers to the managed Cosmos DB database; empty where there is none.')
output managedCosmosConnection string = empty(managedCosmosDatabase) ? '' : 'keyvault:${vault.properties.vaultUri}secrets/managed-cosmos-connection-string'
output managedCosmosServer string = empty(managedCosmosDatabase) ? '' : 'cosmos-managed-${suffix}.documents.azure.com'
output managedCosmosDatabase string = managedCosmosDatabase

@description('To be run in the home database by an Entra ID administrator, unless the app logs in by password.')
output sqlGrant string = empty(sqlConnectionString) ? 'CREATE USER [${app.name}] FROM EXTERNAL PROVIDER; ALTER ROLE db_owner ADD MEMBER [${app.name}];' : ''
