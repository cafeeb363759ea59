namespace Kwik.Sessions;

/// <summary>Where a client begins.</summary>
public static class KwikClient
{
    /// <summary>Connects to a primary server and authenticates both sides.</summary>
    /// <returns>A session, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">An option is missing or out of its range.</exception>
    /// <exception cref="Kwik.Data.KwikException">AuthenticationFailed: certificate or pin were not accepted, by either side.
    /// PathLost: nobody listens there. Timeout: nobody answers.</exception>
    public static Task<ClientSession> ConnectAsync(KwikClientOptions options, CancellationToken cancellationToken = default) =>
        ConnectAsync(options, SessionEnvironment.System, cancellationToken);

    internal static Task<ClientSession> ConnectAsync(
        KwikClientOptions options, SessionEnvironment environment, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return ClientSession.ConnectAsync(options, environment, cancellationToken);
    }
}
