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
    public static async Task<(KwikPath Path, Authenticated Answer)> ConnectAsync(
        SessionEnvironment environment,
        TransportConnectOptions options,
        int pathId,
        Authenticate request,
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
            ServerRole role = request.Role == Role.Primary ? ServerRole.Primary : ServerRole.Secondary;
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
