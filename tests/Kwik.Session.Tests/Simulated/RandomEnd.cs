using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// An application at one end of a public stream that does what it may, at random moments, and notes what came of it. What no
/// call may do fails the test at once; whether both ends agree is for <see cref="RandomEnds"/> to say.
/// </summary>
internal sealed class RandomEnd(SimulatedWorld world, Random random, KwikStream stream)
{
    private static readonly KwikError[] Codes =
        [KwikError.LimitExceeded, KwikError.NotFound, KwikError.Internal, KwikError.ContentMismatch, KwikError.Timeout];

    private Task _acting = Task.CompletedTask;
    private bool _disposed;
    private bool _writing;

    /// <summary>How this end gave the stream up, if it did.</summary>
    public enum Ending
    {
        None,
        Closed,
        Aborted,
        Faulted,
    }

    /// <summary>What became of one write.</summary>
    public enum WriteOutcome
    {
        Done,
        Cancelled,
        Failed,
    }

    public KwikStream Stream => stream;

    public bool IsInbound => stream.Direction == XStreamDirection.Inbound;

    public Ending Ended { get; private set; }

    /// <summary>With what it was aborted.</summary>
    public KwikError AbortCode { get; private set; }

    /// <summary>The writes were completed, by that call, or are by closing.</summary>
    public bool Completed { get; private set; }

    /// <summary>The call that gave the stream up met a write that was pending, or a writer that had failed.</summary>
    public bool EndedUnderAWrite { get; private set; }

    /// <summary>It wanted to end the stream with an error, and could not.</summary>
    public bool FaultRefused { get; private set; }

    public TimeSpan CloseTook { get; private set; }

    public List<(byte[] Bytes, WriteOutcome Outcome)> Written { get; } = [];

    public MemoryStream Received { get; } = new();

    /// <summary>Read to the end.</summary>
    public bool ReadEnd { get; private set; }

    /// <summary>What ended reading instead.</summary>
    public Exception? ReadFault { get; private set; }

    /// <summary>Of the calls that write.</summary>
    public List<XStreamException> WriteFaults { get; } = [];

    /// <summary>What an inbound end said, in the order of the calls, and whether the call succeeded.</summary>
    public List<(string Message, ulong Code, bool IsFault, bool Done)> Said { get; } = [];

    /// <summary>What an outbound end heard.</summary>
    public List<XStreamError> Heard { get; } = [];

    /// <summary>There was a regular end behind that.</summary>
    public bool HeardEnd { get; private set; }

    public XStreamException? HearFault { get; private set; }

    public Task Reading { get; private set; } = Task.CompletedTask;

    public Task Hearing { get; private set; } = Task.CompletedTask;

    public void Start()
    {
        Reading = ReadAsync();
        Hearing = IsInbound ? Task.CompletedTask : HearAsync();
        _acting = Task.WhenAll(WriteAsync(), EndAsync(), IsInbound ? SayAsync() : Task.CompletedTask);
    }

    /// <summary>Ends when this end does nothing more by itself but read and hear.</summary>
    public Task ActAsync() => _acting;

    /// <summary>From here on the session closes the streams of this side.</summary>
    public void OnSessionClosing()
    {
        EndedUnderAWrite |= _writing;
        Ended = Ended == Ending.None ? Ending.Closed : Ended;
        Completed = true;
        _disposed = true;
    }

    public async Task CloseAsync()
    {
        OnClosing();
        TimeSpan began = world.Time.Elapsed;
        await stream.CloseAsync();
        CloseTook = world.Time.Elapsed - began;
    }

    private void OnClosing()
    {
        EndedUnderAWrite |= _writing;
        Ended = Ended == Ending.None ? Ending.Closed : Ended;
        Completed = true;
    }

    private Task PauseAsync(int atMost) => world.Delay(TimeSpan.FromMilliseconds(random.Next(atMost)));

    private CancellationTokenSource Impatience(int oneIn) => random.Next(oneIn) == 0
        ? new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(100)), world.Time)
        : new CancellationTokenSource();

    private async Task WriteAsync()
    {
        int[] sizes = [100, 20_000, 200_000];
        for (int left = random.Next(9); left > 0; left--)
        {
            await PauseAsync(300);
            var bytes = new byte[random.Next(1, sizes[random.Next(sizes.Length)])];
            random.NextBytes(bytes);
            using CancellationTokenSource impatience = Impatience(4);
            int index = Written.Count;
            Written.Add((bytes, WriteOutcome.Failed));
            _writing = true;
            try
            {
                await stream.WriteAsync(bytes, impatience.Token);
                Written[index] = (bytes, WriteOutcome.Done);
                if (random.Next(4) == 0)
                {
                    await stream.FlushAsync(impatience.Token);
                }
            }
            catch (OperationCanceledException) when (impatience.IsCancellationRequested)
            {
                Written[index] = Written[index].Outcome == WriteOutcome.Done ? Written[index] : (bytes, WriteOutcome.Cancelled);
            }
            catch (Exception e) when (IsAllowed(e))
            {
                break;
            }
            finally
            {
                _writing = false;
            }
        }

        await PauseAsync(300);
        if (random.Next(2) == 0)
        {
            try
            {
                stream.CompleteWrites();
                Completed = true;
            }
            catch (Exception e) when (IsAllowed(e))
            {
                // Somebody ended the stream before.
            }
        }
    }

    private bool IsAllowed(Exception e)
    {
        if (e is XStreamException fault)
        {
            WriteFaults.Add(fault);
        }

        return e is XStreamException || (e is ObjectDisposedException && _disposed);
    }

    private async Task ReadAsync()
    {
        bool slow = random.Next(3) == 0;
        int largest = 1 << random.Next(slow ? 13 : 4, 17);
        while (true)
        {
            if (slow && random.Next(4) == 0)
            {
                await PauseAsync(20);
            }

            var buffer = new byte[random.Next(1, largest)];
            using CancellationTokenSource impatience = Impatience(20);
            bool isOver = Ended != Ending.None;
            try
            {
                int read = await stream.ReadAsync(buffer, impatience.Token);
                Assert.False(isOver && read > 0, $"{read} bytes were read after the end: {Ended}");
                Received.Write(buffer, 0, read);
                if (read == 0)
                {
                    ReadEnd = true;
                    return;
                }
            }
            catch (OperationCanceledException) when (impatience.IsCancellationRequested)
            {
                // The next read goes on.
            }
            catch (Exception e) when (e is XStreamException || (e is ObjectDisposedException && _disposed))
            {
                ReadFault = e;
                await ReadRestAsync(buffer);
                return;
            }
        }
    }

    private async Task ReadRestAsync(byte[] buffer)
    {
        try
        {
            Exception? again = await Record.ExceptionAsync(() => stream.ReadAsync(buffer).AsTask());
            Assert.True(again is XStreamException || (again is ObjectDisposedException && _disposed), $"{again}");
            if (Ended == Ending.None && ReadFault is XStreamFaultException first)
            {
                Assert.Same(first.Fault, Assert.IsType<XStreamFaultException>(again).Fault);
            }

            while (await stream.ReadRestAfterErrorAsync(buffer) is int read and > 0)
            {
                Received.Write(buffer, 0, read);
                await PauseAsync(5);
            }
        }
        catch (Exception e) when (Ended != Ending.None && e is XStreamException or ObjectDisposedException)
        {
            // Closed meanwhile.
        }
        catch (InvalidOperationException) when (ReadFault is not XStreamFaultException)
        {
            // The peer has not ended it with an error.
        }
    }

    private async Task SayAsync()
    {
        // In some runs more than are kept for who does not listen.
        int count = random.Next(10) == 0 ? random.Next(300) : random.Next(8);
        int pause = random.Next(10) == 0 ? 1 : 400;
        for (int i = 0; i < count; i++)
        {
            await PauseAsync(pause);
            if (!await TrySayAsync($"notification {i}" + new string('.', random.Next(2) * random.Next(2000)), isFault: false))
            {
                return;
            }
        }
    }

    private async Task<bool> TrySayAsync(string message, bool isFault)
    {
        ulong code = (ulong)random.NextInt64();
        using CancellationTokenSource impatience = Impatience(isFault ? int.MaxValue : 10);
        int index = Said.Count;
        Said.Add((message, code, isFault, false));
        try
        {
            await (isFault
                ? stream.WriteErrorAsync(message, code, default, impatience.Token)
                : stream.NotifyErrorAsync(message, code, default, impatience.Token));
            Said[index] = (message, code, isFault, true);
            return true;
        }
        catch (OperationCanceledException) when (impatience.IsCancellationRequested)
        {
            return true;
        }
        catch (Exception e) when (e is XStreamException || (e is ObjectDisposedException && _disposed))
        {
            return false;
        }
    }

    private async Task HearAsync()
    {
        bool slow = random.Next(3) == 0;
        try
        {
            while (true)
            {
                using CancellationTokenSource impatience = Impatience(20);
                try
                {
                    if (await stream.ReadErrorAsync(impatience.Token) is not { } error)
                    {
                        HeardEnd = true;
                        return;
                    }

                    Heard.Add(error);
                    await (slow ? PauseAsync(500) : Task.CompletedTask);
                }
                catch (OperationCanceledException) when (impatience.IsCancellationRequested)
                {
                    // The next call goes on.
                }
            }
        }
        catch (XStreamException e)
        {
            HearFault = e;
        }
        catch (ObjectDisposedException) when (_disposed)
        {
            // What has not been heard before is not heard any more.
        }
    }

    private async Task EndAsync()
    {
        await PauseAsync(3000);
        switch (random.Next(12))
        {
            case 0 or 1:
                await CloseAsync();
                break;
            case 2:
                OnClosing();
                _disposed = true;
                await stream.DisposeAsync();
                break;
            case 3 or 4:
                EndedUnderAWrite |= _writing;
                Ended = Ending.Aborted;
                AbortCode = Codes[random.Next(Codes.Length)];
                stream.Abort(AbortCode);
                break;
            case 5 or 6 or 7 when IsInbound:
                EndedUnderAWrite |= _writing;
                Ended = Ending.Faulted;
                if (!await TrySayAsync("fault", isFault: true))
                {
                    // The stream had ended before.
                    (Ended, FaultRefused) = (Ended == Ending.Faulted ? Ending.None : Ended, true);
                }
                else if (random.Next(3) == 0)
                {
                    await CloseAsync();
                }

                break;
            case 5 or 6 or 7:
                await Assert.ThrowsAsync<InvalidOperationException>(() => stream.WriteErrorAsync("wrong way"));
                await Assert.ThrowsAsync<InvalidOperationException>(() => stream.NotifyErrorAsync("wrong way"));
                break;
        }
    }
}
