using 'main.bicep'

// The branch main.
param environmentName = 'prod'
param sqlServer = readEnvironmentVariable('SQL_SERVER', '')
param sqlDatabase = 'lpa-bloom-db-prod'
// Only where the app shall not log in as itself. It comes from the environment, so that it stands in no file.
param sqlConnectionString = readEnvironmentVariable('SQL_CONNECTION_STRING', '')
param alertWebhook = readEnvironmentVariable('DBVC_ALERT_WEBHOOK', '')
param operatorPrincipalId = readEnvironmentVariable('DBVC_OPERATOR_PRINCIPAL_ID', '')
param logRetentionDays = 90
param protectFromDeletion = true
