use tokio_util::compat::TokioAsyncWriteCompatExt;
pub(super) type Client = tiberius::Client<tokio_util::compat::Compat<tokio::net::TcpStream>>;
#[derive(Debug, Clone)]
pub struct Connector(pub String);
impl Connector {
    pub async fn connect(&self, _patience: std::time::Duration) -> Result<Client, tiberius::error::Error> {
        let mut config = tiberius::Config::from_ado_string(&self.0)?;
        config.command_timeout(None);
        let tcp = tokio::net::TcpStream::connect(config.get_addr()).await?;
        tcp.set_nodelay(true)?;
        tiberius::Client::connect(config, tcp.compat_write()).await
    }
}
