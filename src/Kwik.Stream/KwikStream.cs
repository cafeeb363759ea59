using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// A public stream of a session: what is written comes out at the other side in order, what is read may have come from
/// many servers. One reader and one writer at a time; both may run at once.
/// </summary>
/// <remarks>
/// Closing ends both directions: what was written is delivered, what was not read is dropped, and the peer's writes fail.
/// A stream that fails throws <see cref="XStreamException"/> from every call, until it is disposed.
/// </remarks>
public sealed partial class KwikStream : Stream
{
    // Source number of the Main stream in the aggregator: the primary. Paths have their own id.
    private const int MainSource = 0;

    private readonly ITransportStream _main;
    private readonly IStreamOwner _owner;
    private readonly FrameReader _frames;
    private readonly FrameWriter _writer;
    private readonly ErrorReader? _errorReader;
    private readonly ErrorWriter? _errorWriter;
    private readonly Task _receiving;
    private readonly Task _watching;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _ending;
    private int _disposed;

    /// <summary>Takes over both halves, whose headers have been read or queued already.</summary>
    internal KwikStream(
        ITransportStream main,
        ITransportStream error,
        XStreamDirection direction,
        IStreamOwner owner,
        AggregatorOptions options,
        LeasePool pool,
        PendingBudget? budget = null)
    {
        _main = main;
        _owner = owner;
        Direction = direction;
        Incoming = new ReceiveBuffer(options, pool, budget)
        {
            Placed = owner.Placed is { } placed ? (path, offset, length) => placed(main.Id, path, offset, length) : null,
            EndReached = direction == XStreamDirection.Inbound ? () => Advance(XStreamInput.RemoteEnd) : null,
        };
        _frames = new FrameReader(main, pool);
        _writer = new FrameWriter(main, pool);
        _errorWriter = direction == XStreamDirection.Inbound ? new ErrorWriter(error) : null;
        _errorReader = direction == XStreamDirection.Outbound ? new ErrorReader(error, main.Id, OnPeersEnd) : null;
        _receiving = Background.Start(ReceiveMainAsync);
        _watching = Background.Start(WatchWritesAsync);
        _errorReader?.Start();
    }

    /// <summary>The id of the stream, the same on both sides: the QUIC id of its Main stream.</summary>
    public long Id => _main.Id;

    /// <summary>What both halves bear.</summary>
    internal UInt128 XStreamId { get; init; }

    /// <summary>Ends when the peer has received all that was written; faults when either side gave the stream up.</summary>
    public Task WritesClosed => _main.WritesClosed;

    /// <inheritdoc/>
    public override bool CanRead => _ending == 0;

    /// <inheritdoc/>
    public override bool CanWrite => _ending == 0 && !_writesCompleted;

    /// <summary>Always false.</summary>
    public override bool CanSeek => false;

    /// <summary>Not supported: a stream has no length before its end.</summary>
    public override long Length => throw new NotSupportedException("A KwikStream has no length; read to its end, or ask its offer.");

    /// <summary>Not supported.</summary>
    public override long Position
    {
        get => throw new NotSupportedException("A KwikStream does not seek.");
        set => throw new NotSupportedException("A KwikStream does not seek.");
    }

    /// <summary>Ends when Main has, and what came on it has found its place.</summary>
    internal Task Received => _receiving;

    /// <summary>Payload that the peer wrote on Main, bytes.</summary>
    internal long MainReceived => _frames.PayloadRead;

    /// <summary>Payload that this side wrote on Main, bytes.</summary>
    internal long MainSent => _writer.Written;

    /// <summary>Where pieces for this stream go, from whatever source.</summary>
    internal ReceiveBuffer Incoming { get; }

    /// <summary>
    /// Gives the stream up, both directions at once: nothing more is delivered, and the peer's calls fail with
    /// <paramref name="error"/>.
    /// </summary>
    public void Abort(KwikError error)
    {
        var fault = new KwikException(error, KwikErrorSide.Local, $"Stream {Id} was aborted by this side: {error}.", streamId: Id);
        Abort(fault);
        Incoming.Discard(XStreamException.ForReader(fault, Id));
    }

    /// <summary>Gives the stream up for this reason.</summary>
    internal void Abort(KwikException fault)
    {
        XStreamException reason = XStreamException.ForReader(fault, Id);
        // First here, so that the peer's answer is not taken for the cause; and before the window opens for what nobody wants.
        End(reason, XStreamException.ForWriter(fault, Id));
        Incoming.Interrupt(reason);
        _main.AbortReads(fault.Code);
        Incoming.GiveUp(reason);
        Fail(fault);
        _main.AbortWrites(fault.Code);
    }

    /// <summary>Ends the stream for all who use it here; the peer's reader learns with which code.</summary>
    internal void Fail(KwikException fault)
    {
        XStreamException reason = XStreamException.ForReader(fault, Id);
        Incoming.Fail(reason);
        End(reason, XStreamException.ForWriter(fault, Id));
        _errorWriter?.Fail(fault.Code);
    }

    /// <summary>The session has ended: what is here as a whole can still be read.</summary>
    internal void Disconnect(KwikException reason)
    {
        XStreamException fault = XStreamException.OfSession(reason, Id);
        Incoming.Disconnect(fault);
        End(fault, fault);
        _errorReader?.Disconnect(fault);
        EndEvents();
    }

    /// <summary>
    /// The peer is lost, and others go on to send what it offered: writes fail from now on, and reads run to the end of the
    /// content, of which nobody else need say that it is the end.
    /// </summary>
    internal void LosePeer(KwikException reason)
    {
        XStreamException fault = XStreamException.OfSession(reason, Id);
        SetWriteFault(fault);
        _errorReader?.LosePeer(fault);
    }

    /// <summary>
    /// Closes the stream. The peer reads what was written, then the end; its writes fail within one round trip, as do all
    /// calls here from now on; what was not read is dropped. Ends when the peer has taken what was written, or has not
    /// within 5 s: it is reset then, and a peer that does not end its own side either is left without after 5 s more. May be
    /// called twice; never fails. To the peer this is the end of all that was to be written: whoever gives up in the middle
    /// calls <see cref="Abort(KwikError)"/> before.
    /// </summary>
    public Task CloseAsync() => CloseOnceAsync(isSession: false);

    /// <summary>Closes the stream with its session: calls that say why say that there is no connection any more.</summary>
    internal Task CloseWithSessionAsync() => CloseOnceAsync(isSession: true);

    /// <summary>Closes the stream as <see cref="CloseAsync"/> does; calls fail with <see cref="ObjectDisposedException"/> from now on.</summary>
    public override async ValueTask DisposeAsync()
    {
        _disposed = 1;
        Incoming.Dispose();
        await CloseAsync();
        await base.DisposeAsync();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // The base class comes here once more at the end of DisposeAsync.
        if (disposing && !(_disposed == 1 && _ended.Task.IsCompleted))
        {
            Wait(() => DisposeAsync().AsTask());
        }

        base.Dispose(disposing);
    }

    private static void Wait(Func<Task> work) => StartApart(work).GetAwaiter().GetResult();

    /// <summary>
    /// Starts what somebody may block for: it goes on neither in the caller's synchronization context nor on its task
    /// scheduler, so that a user-interface thread, or a scheduler that runs one task at a time, does not wait for itself.
    /// </summary>
    private static T StartApart<T>(Func<T> work)
        where T : Task
    {
        var starting = new Task<T>(() => Background.Start(work));
        starting.RunSynchronously(TaskScheduler.Default);
        return starting.GetAwaiter().GetResult();
    }

    private async Task CloseOnceAsync(bool isSession)
    {
        if (Interlocked.Exchange(ref _ending, 1) == 0)
        {
            await EndAsync(isSession);
            _ended.SetResult();
        }

        await _ended.Task;
    }

    /// <summary>Runs once; never throws.</summary>
    private async Task EndAsync(bool isSession)
    {
        SetWriteFault(ClosedHere(isSession ? XStreamErrorKind.NotConnected : XStreamErrorKind.BrokenPipe));
        // Before anything is awaited: reads end at once, and the receiving loop drops what it holds for a reader who will
        // not come.
        XStreamException noReads = ClosedHere(isSession ? XStreamErrorKind.NotConnected : XStreamErrorKind.StreamClosed);
        Incoming.Close(noReads);
        // The goodbye goes before the request to stop, so that this is not taken for a failure; and the request goes now,
        // however long the peer takes for what was written.
        Task writes = Background.Start(EndWritesAsync);
        Task segments = Background.Start(EndSegmentsAsync);
        Task errors = Background.Start(() => _errorWriter?.CloseAsync(CloseTimeout, _owner.Time) ?? _errorReader!.CloseAsync(noReads, CloseTimeout, _owner.Time));
        _main.AbortReads(KwikError.Cancelled);
        Advance(XStreamInput.LocalEnd);
        Advance(XStreamInput.RemoteEnd);
        await writes;
        await _receiving;
        // Each half waits until the transport is done with it; one wait for both.
        Task main = Background.EndsWithinAsync(ReleaseMainAsync, CloseTimeout, _owner.Time);
        await errors;
        await main;
        await segments;
        await _watching;
        FailOffer(new KwikException(KwikError.Cancelled, KwikErrorSide.Local, $"Stream {Id} was closed.", streamId: Id));
        EndEvents();
        _owner.StreamClosed(this);
    }

    /// <summary>Never throws. Until the transport is done with Main, it may read what is to be written from the writer's memory.</summary>
    private async Task ReleaseMainAsync()
    {
        await _main.DisposeAsync();
        _writer.Discard();
    }

    private XStreamException ClosedHere(XStreamErrorKind kind) =>
        new(kind, KwikError.Cancelled, KwikErrorSide.Local, $"Stream {Id} was closed by this side.", streamId: Id);
}
