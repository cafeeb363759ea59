using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// A public stream of a session: what is written comes out at the other side in order, what is read may have come from
/// many servers. One reader and one writer at a time; both may run at once.
/// </summary>
/// <remarks>
/// Disposing ends both directions: what was written is delivered, what was not read is dropped. A stream that fails
/// throws <see cref="KwikException"/> from every call.
/// </remarks>
public sealed partial class KwikStream : Stream
{
    // Source number of the Main stream in the aggregator: the primary. Paths have their own id.
    private const int MainSource = 0;

    private readonly ITransportStream _main;
    private readonly IStreamOwner _owner;
    private readonly FrameReader _frames;
    private readonly FrameWriter _writer;
    private readonly Task _receiving;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _disposed;

    /// <summary>Takes over a Main stream whose header has been read or queued already.</summary>
    internal KwikStream(
        ITransportStream main, IStreamOwner owner, AggregatorOptions options, LeasePool pool, PendingBudget? budget = null)
    {
        _main = main;
        _owner = owner;
        Incoming = new ReceiveBuffer(options, pool, budget);
        _frames = new FrameReader(main, pool);
        _writer = new FrameWriter(main, pool);
        _receiving = Background.Start(ReceiveMainAsync);
    }

    /// <summary>The id of the stream, the same on both sides: the QUIC id of its Main stream.</summary>
    public long Id => _main.Id;

    /// <summary>Ends when the peer has received all that was written; faults when either side gave the stream up.</summary>
    public Task WritesClosed => _main.WritesClosed;

    /// <inheritdoc/>
    public override bool CanRead => _disposed == 0;

    /// <inheritdoc/>
    public override bool CanWrite => _disposed == 0 && !_writesCompleted;

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

    /// <summary>Where pieces for this stream go, from whatever source.</summary>
    internal ReceiveBuffer Incoming { get; }

    /// <summary>
    /// Gives the stream up, both directions at once: nothing more is delivered, and the peer's calls fail with
    /// <paramref name="error"/>.
    /// </summary>
    public void Abort(KwikError error)
    {
        Abort(new KwikException(error, KwikErrorSide.Local, $"Stream {Id} was aborted by this side: {error}.", streamId: Id));
    }

    /// <summary>Gives the stream up for this reason.</summary>
    internal void Abort(KwikException fault)
    {
        _main.AbortWrites(fault.Code);
        _main.AbortReads(fault.Code);
        Fail(fault);
    }

    /// <summary>Ends the stream for its reader and for those who wait for an offer.</summary>
    internal void Fail(KwikException fault)
    {
        Incoming.Fail(fault);
        FailOffer(fault);
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await CloseAsync();
            _closed.SetResult();
        }

        await _closed.Task;
        await base.DisposeAsync();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // The base class comes here once more at the end of DisposeAsync.
        if (disposing && !_closed.Task.IsCompleted)
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

    /// <summary>Runs once; never throws.</summary>
    private async Task CloseAsync()
    {
        // Before anything is awaited: reads end at once, and the receiving loop drops what it holds for a reader who will
        // not come.
        Incoming.Dispose();
        await EndWritesAsync();
        await EndSegmentsAsync();
        _main.AbortReads(KwikError.Cancelled);
        await _receiving;
        await _main.DisposeAsync();
        _writer.Discard();
        FailOffer(new KwikException(KwikError.Cancelled, KwikErrorSide.Local, $"Stream {Id} was closed.", streamId: Id));
        _owner.StreamClosed(this);
    }
}
