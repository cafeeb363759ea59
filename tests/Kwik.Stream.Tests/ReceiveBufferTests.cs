using System.Text;
using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class ReceiveBufferTests
{
    private const int Window = 64 * 1024;

    private readonly LeasePool _pool = new();
    private readonly ReceiveBuffer _buffer;

    public ReceiveBufferTests() => _buffer = Create();

    [Fact]
    public async Task ReadAsync_PiecesInAnyOrder_GivesThemInOrder()
    {
        Accept(1, 6, "world");
        Task<string> reading = ReadTextAsync(100);
        Assert.False(reading.IsCompleted);
        Accept(2, 0, "hello ");

        Assert.Equal("hello ", await reading.WithinAsync());
        Assert.Equal("wor", await ReadTextAsync(3).WithinAsync());
        Assert.Equal("ld", await ReadTextAsync(100).WithinAsync());
        Assert.Equal(11, _buffer.ReadOffset);
        AssertAllReturned();
    }

    [Fact]
    public async Task ReadAsync_AtTheFinalSize_GivesTheEndAgainAndAgain()
    {
        Accept(1, 0, "all");
        Assert.True(_buffer.TrySetFinalSize(3));
        Assert.Equal("all", await ReadTextAsync(100).WithinAsync());
        Assert.Equal("", await ReadTextAsync(100).WithinAsync());
        Assert.Equal("", await ReadTextAsync(100).WithinAsync());
        AssertAllReturned();
    }

    [Fact]
    public async Task TrySetFinalSize_WhileReadingAtTheEnd_EndsTheRead()
    {
        Accept(1, 0, "all");
        Assert.Equal("all", await ReadTextAsync(100).WithinAsync());
        Task<string> reading = ReadTextAsync(100);
        Assert.True(_buffer.TrySetFinalSize(3));
        Assert.Equal("", await reading.WithinAsync());
    }

    [Fact]
    public async Task ReadAsync_EmptyBuffer_WaitsForBytesAndTakesNone()
    {
        Task<string> waiting = ReadTextAsync(0);
        Assert.False(waiting.IsCompleted);
        Accept(1, 0, "here");
        Assert.Equal("", await waiting.WithinAsync());
        Assert.Equal("here", await ReadTextAsync(100).WithinAsync());
    }

    [Fact]
    public async Task ReadAsync_WhileAnotherReads_Throws()
    {
        Task<string> first = ReadTextAsync(100);
        await Assert.ThrowsAsync<InvalidOperationException>(() => ReadTextAsync(100).WithinAsync());
        Accept(1, 0, "for the first");
        Assert.Equal("for the first", await first.WithinAsync());
    }

    [Fact]
    public async Task ReadAsync_Cancelled_LosesNoByte()
    {
        for (int round = 0; round < 50; round++)
        {
            using var cancellation = new CancellationTokenSource();
            Task<string> reading = ReadTextAsync(1, cancellation.Token);
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WithinAsync());
            Accept(1, round, "x");
            Assert.Equal("x", await ReadTextAsync(1).WithinAsync());
        }

        Accept(1, 50, "kept");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => ReadTextAsync(100, new CancellationToken(canceled: true)).WithinAsync());
        Assert.Equal("kept", await ReadTextAsync(100).WithinAsync());
    }

    [Fact]
    public async Task ReadAsync_CancelRacingAccept_LosesNoByte()
    {
        CancellationTokenSource cancellation = new();
        Task<string> reading = Task.FromResult("");
        await Race.RunAsync(
            rounds: 1500,
            prepare: _ =>
            {
                cancellation = new CancellationTokenSource();
                reading = ReadTextAsync(1, cancellation.Token);
            },
            rival: round => Accept(1, round - 1, "x"),
            side: _ =>
            {
                cancellation.Cancel();
                return Task.CompletedTask;
            },
            check: async round =>
            {
                try
                {
                    Assert.Equal("x", await reading.WithinAsync());
                }
                catch (OperationCanceledException)
                {
                    Assert.Equal("x", await ReadTextAsync(1).WithinAsync());
                }

                Assert.Equal(round, _buffer.ReadOffset);
                cancellation.Dispose();
            });
    }

    [Fact]
    public async Task Fail_WithBytesWaiting_EndsReadsWithTheFirstFault()
    {
        Accept(1, 0, "abc");
        Accept(1, 3, "def");
        Assert.Equal("a", await ReadTextAsync(1).WithinAsync());
        _buffer.Fail(new IOException("first"));
        _buffer.Fail(new IOException("second"));

        // The piece that the reader has begun is its own; what was behind it is gone.
        string rest = await ReadTextAsync(100).WithinAsync();
        Assert.StartsWith("bc", rest, StringComparison.Ordinal);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal("first", (await Assert.ThrowsAsync<IOException>(() => ReadTextAsync(100).WithinAsync())).Message);
        }

        AssertAllReturned();
    }

    [Fact]
    public async Task Fail_WhileReading_EndsTheRead()
    {
        Task<string> reading = ReadTextAsync(100);
        _buffer.Fail(new IOException("gone"));
        await Assert.ThrowsAsync<IOException>(() => reading.WithinAsync());
        Assert.Equal(AcceptOutcome.Duplicate, Accept(1, 0, "late").Outcome);
        AssertAllReturned();
    }

    [Fact]
    public async Task Fail_AfterEverythingWasRead_ChangesNothing()
    {
        Accept(1, 0, "all");
        _buffer.TrySetFinalSize(3);
        await ReadTextAsync(100).WithinAsync();
        _buffer.Fail(new IOException("too late"));
        Assert.Equal("", await ReadTextAsync(100).WithinAsync());
    }

    [Fact]
    public async Task WaitForWindowAsync_BehindTheWindow_EndsWhenTheReaderGetsThere()
    {
        Accept(1, 0, "abc");
        await _buffer.WaitForWindowAsync(Window - 10, 10, CancellationToken.None).WithinAsync();
        Task waiting = _buffer.WaitForWindowAsync(Window, 3, CancellationToken.None).AsTask();
        Task tooFar = Create().WaitForWindowAsync(Window, 1, CancellationToken.None).AsTask();
        Assert.False(waiting.IsCompleted);

        await ReadTextAsync(100).WithinAsync();
        await waiting.WithinAsync();
        Assert.False(tooFar.IsCompleted);
    }

    [Fact]
    public async Task WaitForWindowAsync_AtTheReader_NeverWaits() =>
        await _buffer.WaitForWindowAsync(0, 10 * Window, CancellationToken.None).WithinAsync();

    [Fact]
    public async Task WaitForWindowAsync_StreamEnds_Ends()
    {
        Task failing = _buffer.WaitForWindowAsync(Window, 3, CancellationToken.None).AsTask();
        _buffer.Fail(new IOException("gone"));
        await failing.WithinAsync();

        ReceiveBuffer other = Create();
        Task closing = other.WaitForWindowAsync(Window, 3, CancellationToken.None).AsTask();
        other.Dispose();
        await closing.WithinAsync();
    }

    [Fact]
    public async Task ReaderMoved_AfterEachPiece_SeesTheNewOffset()
    {
        var offsets = new List<long>();
        _buffer.ReaderMoved = () => offsets.Add(_buffer.ReadOffset);
        Accept(1, 0, "abc");
        Accept(2, 3, "de");
        await ReadTextAsync(1).WithinAsync();
        await ReadTextAsync(100).WithinAsync();
        await ReadTextAsync(100).WithinAsync();
        Assert.Equal([3, 5], offsets);
    }

    [Fact]
    public async Task Dispose_WithBytesWaiting_ReturnsThemAndEndsReads()
    {
        Accept(1, 0, "abc");
        Accept(1, 10, "hole before");
        await ReadTextAsync(1).WithinAsync();
        _buffer.Dispose();
        _buffer.Dispose();

        AssertAllReturned();
        Assert.Equal(AcceptOutcome.Duplicate, Accept(1, 3, "late").Outcome);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => ReadTextAsync(100).WithinAsync());
        AssertAllReturned();
    }

    [Fact]
    public async Task Dispose_WhileReading_EndsTheRead()
    {
        Task<string> reading = ReadTextAsync(100);
        _buffer.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => reading.WithinAsync());
    }

    [Fact]
    public async Task DisposeRacingRead_EveryRound_ReturnsEveryLeaseOnce()
    {
        ReceiveBuffer buffer = _buffer;
        var bytes = new byte[Window - 100];
        await Race.RunAsync(
            rounds: 2000,
            prepare: _ =>
            {
                // Long enough a piece that disposal may hit the copying.
                buffer = Create();
                Accept(buffer, 1, 0, new byte[Window]);
                Assert.True(ReadTextAsync(buffer, 1).IsCompletedSuccessfully);
            },
            rival: _ => buffer.Dispose(),
            side: async _ =>
            {
                try
                {
                    await buffer.ReadAsync(bytes, CancellationToken.None);
                }
                catch (ObjectDisposedException)
                {
                    // Either end is right, as long as every lease comes back once.
                }
            },
            check: round =>
            {
                Assert.True(_pool.Outstanding == 0, $"Round {round}: {_pool.Outstanding} leases are out.");
                return Task.CompletedTask;
            });
    }

    [Fact]
    public async Task DisposeDuringARead_ThatIsTheLast_ReturnsItsLease()
    {
        // Disposed on the reader's own call, in the middle of a read that then succeeds and leaves bytes behind.
        _buffer.ReaderMoved = _buffer.Dispose;
        Accept(1, 0, "abc");
        try
        {
            Assert.Equal("a", await ReadTextAsync(1).WithinAsync());
        }
        catch (ObjectDisposedException)
        {
            // Either end is right, as long as nothing is kept.
        }

        AssertAllReturned();
    }

    [Fact]
    public async Task AcceptAndReadAsync_FourSourcesAtOnce_DeliverEveryByteInOrder()
    {
        for (int seed = 0; seed < 10; seed++)
        {
            byte[] content = Bytes.Random(seed, 300_000);
            ReceiveBuffer buffer = Create();
            Assert.True(buffer.TrySetFinalSize(content.Length));
            Task[] sources = [.. Enumerable.Range(0, 4).Select(source => Task.Run(() => SendAsync(buffer, content, source)))];
            using var received = new MemoryStream();
            var chunk = new byte[5000];
            for (int read; (read = await buffer.ReadAsync(chunk, CancellationToken.None).WithinAsync()) > 0;)
            {
                received.Write(chunk, 0, read);
            }

            await Task.WhenAll(sources).WithinAsync();
            Assert.Equal(content, received.ToArray());
            AssertAllReturned();
        }
    }

    [Fact]
    public async Task TryOffer_FromThenOn_OnlyVerifiedPiecesAreTaken()
    {
        Assert.True(_buffer.TryOffer(10, []));
        Accept(1, 0, "01234");
        Assert.Equal(0, _buffer.FirstHole?.Offset);
        _buffer.Reserve(10);
        _buffer.AcceptVerified(1, 0, [Piece("abcde"), Piece("fghij")]);

        Assert.Equal("abcdefghij", await ReadTextAsync(100).WithinAsync());
        Assert.Equal("", await ReadTextAsync(1).WithinAsync());
        AssertAllReturned();
    }

    [Fact]
    public void TryOffer_AfterBytesOfAnotherKind_IsRefused()
    {
        Accept(1, 5, "x");
        Assert.False(_buffer.TryOffer(10, []));
    }

    [Fact]
    public void TryOffer_Twice_IsRefused()
    {
        Assert.True(_buffer.TryOffer(10, []));
        Assert.False(_buffer.TryOffer(10, []));
    }

    [Fact]
    public async Task TryOffer_WithHeldRanges_DeliversTheOthersOnly()
    {
        Assert.True(_buffer.TryOffer(12, [(0, 3), (5, 2), (10, 2)]));
        Assert.Equal((7L, 12L), (_buffer.TakenBytes, _buffer.Reserve(12)));
        _buffer.AcceptVerified(1, 3, [Piece("de")]);
        _buffer.AcceptVerified(2, 7, [Piece("hij")]);

        var delivered = new List<(string, long)>();
        await _buffer.TakeAllAsync(
            (piece, offset) =>
            {
                delivered.Add((Encoding.ASCII.GetString(piece.Span), offset));
                return ValueTask.CompletedTask;
            },
            CancellationToken.None).WithinAsync();
        Assert.Equal([("de", 3), ("hij", 7)], delivered);
        AssertAllReturned();
    }

    [Fact]
    public async Task TryOffer_EverythingIsHeld_IsTheEnd()
    {
        Assert.True(_buffer.TryOffer(12, [(0, 12)]));
        await _buffer.TakeAllAsync((_, _) => throw new InvalidOperationException(), CancellationToken.None).WithinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => ReadTextAsync(1).WithinAsync());
    }

    /// <summary>What was reserved is taken although there are more holes than are allowed of what is pushed.</summary>
    [Fact]
    public void AcceptVerified_MoreHolesThanArePushed_TakesThem()
    {
        using var buffer = new ReceiveBuffer(new() { MaxGaps = 1 }, _pool);
        Assert.True(buffer.TryOffer(100, []));
        buffer.Reserve(100);
        for (int offset = 10; offset < 100; offset += 10)
        {
            buffer.AcceptVerified(1, offset, [Piece("x")]);
        }

        Assert.Equal(10, buffer.Missing(0, 100).Count);
    }

    private static async Task SendAsync(ReceiveBuffer buffer, byte[] content, int source, LeasePool pool)
    {
        var random = new Random(source);
        for (int offset = 0; offset < content.Length;)
        {
            int length = Math.Min(random.Next(1, 9000), content.Length - offset);

            Lease lease = pool.Rent(length);
            content.AsSpan(offset, length).CopyTo(lease.Free.Span);
            lease.Extend(length);
            long next = offset;
            AcceptResult result;
            while (buffer.Accept(source, ref next, [lease], out result) == 0)
            {
                Assert.Equal(offset, next);
                await buffer.WaitForWindowAsync(offset, length, CancellationToken.None);
            }

            Assert.True(result.Outcome is AcceptOutcome.Accepted or AcceptOutcome.Duplicate, $"{result}");
            offset = (int)next;
        }
    }

    private Task SendAsync(ReceiveBuffer buffer, byte[] content, int source) => SendAsync(buffer, content, source, _pool);

    private ReceiveBuffer Create() => new(new AggregatorOptions { MaxPendingBytes = Window }, _pool);

    private AcceptResult Accept(int source, long offset, string text) => Accept(_buffer, source, offset, Encoding.Latin1.GetBytes(text));

    private AcceptResult Accept(ReceiveBuffer buffer, int source, long offset, byte[] bytes)
    {
        Assert.Equal(1, buffer.Accept(source, ref offset, [Piece(bytes)], out AcceptResult result));
        return result;
    }

    private Lease Piece(string text) => Piece(Encoding.Latin1.GetBytes(text));

    private Lease Piece(byte[] bytes)
    {
        Lease lease = _pool.Rent(bytes.Length);
        bytes.CopyTo(lease.Free.Span);
        lease.Extend(bytes.Length);
        return lease;
    }

    private Task<string> ReadTextAsync(int count, CancellationToken cancellationToken = default) =>
        ReadTextAsync(_buffer, count, cancellationToken);

    private static async Task<string> ReadTextAsync(ReceiveBuffer buffer, int count, CancellationToken cancellationToken = default)
    {
        var bytes = new byte[count];
        int read = await buffer.ReadAsync(bytes, cancellationToken);
        return Encoding.Latin1.GetString(bytes, 0, read);
    }

    private void AssertAllReturned() => Assert.Equal(0, _pool.Outstanding);
}
