using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// Accepts the streams that a peer opens on one connection, reads the 17 bytes that each begins with, and hands it on by
/// its type. Streams that break a rule are aborted and counted; too many of them end the connection.
/// </summary>
/// <param name="connection">Whose streams.</param>
/// <param name="time">The session's clock.</param>
/// <param name="dispatch">Takes over a stream and returns None, or returns the code that it is to be aborted with.</param>
internal sealed class InboundStreams(
    ITransportConnection connection, TimeProvider time, Func<StreamHeader, ITransportStream, KwikError> dispatch)
{
    /// <summary>Violations on one connection that are forgiven.</summary>
    public const int ViolationLimit = 16;

    private readonly TaskSet _serving = new();
    private int _violations;

    /// <summary>Streams that were aborted because they broke a rule.</summary>
    public int Violations => Volatile.Read(ref _violations);

    /// <summary>Counts a rule that the peer broke, on whatever stream; returns how many there were.</summary>
    public int CountViolation() => Interlocked.Increment(ref _violations);

    /// <summary>Accepts until the connection ends or the limit is passed; throws then.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ITransportStream stream = await connection.AcceptStreamAsync(cancellationToken);
            if (Violations > ViolationLimit)
            {
                throw new KwikException(
                    KwikError.LimitExceeded,
                    KwikErrorSide.Remote,
                    $"{connection.RemoteEndPoint} opened more than {ViolationLimit} streams that break a rule.");
            }

            // Each header is waited for beside the others: one slow stream holds up none.
            _serving.Start(() => AcceptAsync(stream));
        }
    }

    /// <summary>Serves a stream that was dispatched, until <see cref="JoinAsync"/> at the latest.</summary>
    public void Serve(Func<Task> work) => _serving.Start(work);

    /// <summary>Waits for every stream that is being served. Their connection has ended, and so they do.</summary>
    public Task JoinAsync() => _serving.JoinAsync();

    /// <summary>Reads a stream's header in the time that it may take.</summary>
    public static async Task<StreamHeader> ReadHeaderAsync(ITransportStream stream, TimeProvider time)
    {
        Task<StreamHeader> reading = ReadHeaderAsync(stream);
        try
        {
            return await reading.WaitAsync(SessionTimeouts.Header, time);
        }
        catch (TimeoutException e)
        {
            stream.AbortReads(KwikError.Timeout);
            throw new KwikException(
                KwikError.Timeout, KwikErrorSide.Remote, $"QUIC stream {stream.Id} did not begin within {SessionTimeouts.Header}.", e);
        }
    }

    private static async Task<StreamHeader> ReadHeaderAsync(ITransportStream stream)
    {
        var bytes = new byte[StreamHeader.Size];
        int have = 0;
        while (have < bytes.Length)
        {
            int read = await stream.ReadAsync(bytes.AsMemory(have));
            have += read > 0 ? read : throw Malformed(stream);
        }

        return StreamHeader.TryRead(bytes, out StreamHeader header) ? header : throw Malformed(stream);
    }

    private static KwikException Malformed(ITransportStream stream) => new(
        KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"QUIC stream {stream.Id} does not begin with a stream header.");

    private async Task AcceptAsync(ITransportStream stream)
    {
        KwikError refused;
        try
        {
            StreamHeader header = await ReadHeaderAsync(stream, time);
            refused = dispatch(header, stream);
        }
        catch (KwikException e) when (e.Side == KwikErrorSide.Remote && e.Code is not (KwikError.MetadataProtocolViolation or KwikError.Timeout))
        {
            // Given up by its opener before it had begun, which is no rule broken.
            stream.AbortWrites(KwikError.Cancelled);
            await stream.DisposeAsync();
            return;
        }
        catch (KwikException e)
        {
            refused = e.Code;
        }

        if (refused != KwikError.None)
        {
            CountViolation();
            stream.AbortReads(refused);
            stream.AbortWrites(refused);
            await stream.DisposeAsync();
        }
    }
}
