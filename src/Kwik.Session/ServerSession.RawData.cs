using System.Threading.Channels;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

public abstract partial class ServerSession
{
    private readonly RawDataInbox _rawData = new();
    private readonly TokenBucket _rawBudget;
    private long _lastRawDataId;

    /// <summary>What the client may send on this connection.</summary>
    private protected TokenBucket Budget { get; }

    /// <summary>Sends raw data, no faster than the client lets it: 250 pieces at once, then as many each second.</summary>
    private protected async ValueTask<long> SendRawAsync(uint pathId, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfZero(data.Length, nameof(data));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, RawDataInbox.MaxSize, nameof(data));
        ThrowIfEnded();
        // The caller may use its memory again while this waits.
        var raw = new RawData { PathId = pathId, Data = ByteString.CopyFrom(data.Span) };
        TimeSpan pause = _rawBudget.Reserve();
        if (pause > TimeSpan.Zero)
        {
            await Task.Delay(pause, Link.Environment.Time, cancellationToken);
        }

        long id = Interlocked.Increment(ref _lastRawDataId);
        raw.Id = (ulong)id;
        if (!await Link.Control.SendRawAsync(new ControlFrame { RawData = raw }, cancellationToken))
        {
            ThrowIfEnded();
            throw new KwikException(KwikError.Cancelled, KwikErrorSide.Local, "The session is being closed.");
        }

        return id;
    }

    /// <summary>The next raw data that the client carried here.</summary>
    private protected async ValueTask<RawDataReceived> ReceiveRawAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _rawData.ReceiveAsync(cancellationToken);
        }
        catch (ChannelClosedException)
        {
            ThrowIfEnded();
            throw;
        }
    }

    /// <summary>Checks the path of a raw data frame, and gives its number here.</summary>
    private protected abstract int RawDataPath(uint pathId);

    private protected static KwikException Ended(KwikException reason) => new(
        reason.Code == KwikError.None ? KwikError.Cancelled : reason.Code,
        reason.Side,
        $"The session with the client has ended. {reason.Message}",
        reason);

    private bool TryTakeRawData(ControlFrame frame)
    {
        switch (frame.BodyCase)
        {
            case ControlFrame.BodyOneofCase.RawData:
                OnRawData(frame.RawData);
                return true;
            case ControlFrame.BodyOneofCase.RawDataRefused:
                OnRawDataRefused(frame.RawDataRefused);
                return true;
            default:
                return false;
        }
    }

    private void OnRawData(RawData raw)
    {
        int pathId = RawDataPath(raw.PathId);
        if (raw.Data.Length is 0 or > RawDataInbox.MaxSize)
        {
            throw Violation($"Raw data {raw.Id} has {raw.Data.Length} bytes.");
        }

        if (!_rawData.TryAdd(new(pathId, raw.Data.Memory)))
        {
            Link.Control.Send(new ControlFrame
            {
                RawDataRefused = new RawDataRefused { PathId = raw.PathId, Id = raw.Id, ErrorCode = (ulong)KwikError.LimitExceeded },
            });
        }
    }

    private void OnRawDataRefused(RawDataRefused refused)
    {
        int pathId = RawDataPath(refused.PathId);
        if (refused.Id == 0 || refused.Id > (ulong)Interlocked.Read(ref _lastRawDataId))
        {
            throw Violation($"Raw data {refused.Id} was refused and never sent.");
        }

        EventQueue.Raise(new RawDataDropped(pathId, (long)refused.Id, QuicErrors.FromWire((long)refused.ErrorCode)));
    }

    private void ThrowIfEnded()
    {
        if (_ended is { } reason)
        {
            throw Ended(reason);
        }
    }

    private protected static KwikException Violation(string what) =>
        new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, what);
}
