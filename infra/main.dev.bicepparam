using 'main.bicep'

// One dev environment serves the branches develop and staging.
param environmentName = 'dev'
param sqlServer = readEnvironmentVariable('SQL_SERVER', '')
param sqlDatabase = 'lpa-bloom-db-dev'
// Only where the app shall not log in as itself. It comes from the environment, so that it stands in no file.
param sqlConnectionString = readEnvironmentVariable('SQL_CONNECTION_STRING', '')
param alertWebhook = readEnvironmentVariable('DBVC_ALERT_WEBHOOK', '')
param operatorPrincipalId = readEnvironmentVariable('DBVC_OPERATOR_PRINCIPAL_ID', '')
param instanceMemory = 512
