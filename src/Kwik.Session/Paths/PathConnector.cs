using System.Diagnostics;
using System.Net;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>Makes a client's connections: handshake, control stream, Authenticate, Authenticated.</summary>
internal static class PathConnector
{
    private const int Version = 1;

    /// <summary>Connects and authenticates; whatever fails closes the connection again.</summary>
    /// <param name="environment">The session's.</param>
    /// <param name="options">Whom to connect to.</param>
    /// <param name="pathId">Number of the path.</param>
    /// <param name="request">Says who we are.</param>
    /// <param name="session">What the connection is traced within; default: whatever the caller is.</param>
    /// <param name="cancellationToken">Of the caller.</param>
    public static async Task<(KwikPath Path, Authenticated Answer)> ConnectAsync(
        SessionEnvironment environment,
        TransportConnectOptions options,
        int pathId,
        Authenticate request,
        ActivityContext session,
        CancellationToken cancellationToken)
    {
        ServerRole role = request.Role == Role.Primary ? ServerRole.Primary : ServerRole.Secondary;
        Span? span = Span.Begin(environment, "kwik.connect", ActivityKind.Client, session)?
            .Set("kwik.path.role", KwikTelemetry.NameOf(role)).Set("kwik.path.id", pathId).SetPeer(options.RemoteEndPoint);
        long began = environment.Time.GetTimestamp();
        KwikError error = KwikError.Internal;
        try
        {
            (KwikPath, Authenticated) connected = await AuthenticateAsync(environment, options, pathId, request, role, cancellationToken);
            error = KwikError.None;
            return connected;
        }
        catch (KwikException e)
        {
            error = e.Code;
            throw;
        }
        catch (OperationCanceledException)
        {
            error = KwikError.Cancelled;
            throw;
        }
        finally
        {
            environment.Telemetry.Connected(role, environment.Time.GetElapsedTime(began), error);
            span?.End(error);
        }
    }

    private static async Task<(KwikPath Path, Authenticated Answer)> AuthenticateAsync(
        SessionEnvironment environment,
        TransportConnectOptions options,
        int pathId,
        Authenticate request,
        ServerRole role,
        CancellationToken cancellationToken)
    {
        ITransportConnection connection = await environment.Transport.ConnectAsync(options, cancellationToken);
        try
        {
            ControlChannel control = await ControlChannel.OpenAsync(connection, cancellationToken);
            request.Version = Version;
            long asked = environment.Time.GetTimestamp();
            control.Send(new ControlFrame { Authenticate = request });
            Authenticated answer = await ReceiveAnswerAsync(control, options.RemoteEndPoint)
                .WaitAsync(SessionTimeouts.Authentication, environment.Time, cancellationToken);
            TimeSpan roundTrip = environment.Time.GetElapsedTime(asked);
            var path = new KwikPath(pathId, role, connection, control, (int)answer.MaxRangeRequests, roundTrip, environment.Time);
            return (path, answer);
        }
        catch (TimeoutException e)
        {
            await AbandonAsync(connection, KwikError.Timeout);
            throw new KwikException(
                KwikError.Timeout, KwikErrorSide.Network, $"{options.RemoteEndPoint} did not answer Authenticate in time.", e, pathId);
        }
        catch
        {
            await AbandonAsync(connection, KwikError.Cancelled);
            throw;
        }
    }

    private static async Task AbandonAsync(ITransportConnection connection, KwikError code)
    {
        await connection.CloseAsync(code);
        await connection.DisposeAsync();
    }

    private static async Task<Authenticated> ReceiveAnswerAsync(ControlChannel control, IPEndPoint server)
    {
        ControlFrame? frame = await control.ReceiveAsync(ControlCodec.MaxUnauthenticatedFrameSize);
        return frame?.Authenticated is { SessionId.Length: 16, MaxRangeRequests: >= 1 and <= 65536, Version: Version } answer
            ? answer
            : throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"{server} did not answer Authenticate as version {Version} does.");
    }
}
