using Xunit;

namespace Kwik.Testing;

/// <summary>Arguments, and members that such a stream does not have.</summary>
public abstract partial class StreamConformanceTests
{
    /// <summary>Length of the array, -1 for none; offset; count; the argument that is wrong.</summary>
    public static TheoryData<int, int, int, string> BadBuffers => new()
    {
        { -1, 0, 0, "buffer" },
        { -1, 1, 2, "buffer" },
        { 1, -1, 0, "offset" },
        { 1, int.MinValue, 1, "offset" },
        { 1, 0, -1, "count" },
        { 1, 0, 2, "count" },
        { 1, 1, 1, "count" },
        { 1, 2, 0, "count" },
        { 1, int.MaxValue, int.MaxValue, "count" },
        { 0, 0, 1, "count" },
    };

    [Theory, MemberData(nameof(BadBuffers))]
    public Task Read_BadBuffer_ThrowsAtOnceAndTakesNothing(int length, int offset, int count, string wrong) =>
        RunAsync(async (near, far) =>
        {
            await far.WriteAsync(Bytes(3));
            byte[] buffer = length < 0 ? null! : new byte[length];
            AssertArgument(wrong, () => _ = near.Read(buffer, offset, count));
            AssertArgument(wrong, () => near.ReadAsync(buffer, offset, count));
            AssertArgument(wrong, () => near.ReadAsync(buffer, offset, count, CancellationToken.None));
            AssertArgument(wrong, () => near.ReadAsync(buffer, offset, count, new CancellationToken(canceled: true)));
            AssertArgument(wrong, () => near.BeginRead(buffer, offset, count, null, null));
            AssertArgument(wrong, () => near.ReadExactly(buffer, offset, count));
            AssertArgument(wrong, () => near.ReadExactlyAsync(buffer, offset, count).AsTask());
            Assert.Equal(Bytes(3), await near.TakeAsync(3));
        });

    [Theory, MemberData(nameof(BadBuffers))]
    public Task Write_BadBuffer_ThrowsAtOnceAndWritesNothing(int length, int offset, int count, string wrong) =>
        RunAsync(async (near, far) =>
        {
            byte[] buffer = length < 0 ? null! : new byte[length];
            AssertArgument(wrong, () => near.Write(buffer, offset, count));
            AssertArgument(wrong, () => near.WriteAsync(buffer, offset, count));
            AssertArgument(wrong, () => near.WriteAsync(buffer, offset, count, CancellationToken.None));
            AssertArgument(wrong, () => near.WriteAsync(buffer, offset, count, new CancellationToken(canceled: true)));
            AssertArgument(wrong, () => near.BeginWrite(buffer, offset, count, null, null));
            await WriteAllAsync(near, Bytes(3));
            Assert.Equal(Bytes(3), await far.ReadToEndAsync());
        });

    [Theory]
    [InlineData(4, -1)]
    [InlineData(4, 5)]
    [InlineData(0, 1)]
    public Task ReadAtLeast_BadMinimum_Throws(int length, int minimum) => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(3));
        AssertArgument("minimumBytes", () => near.ReadAtLeast(new byte[length], minimum));
        AssertArgument("minimumBytes", () => near.ReadAtLeastAsync(new byte[length], minimum).AsTask());
        Assert.Equal(Bytes(3), await near.TakeAsync(3));
    });

    [Fact]
    public Task CopyTo_BadArguments_ThrowsAndTakesNothing() => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(3));
        AssertArgument("destination", () => near.CopyTo(null!));
        AssertArgument("destination", () => near.CopyTo(null!, 1));
        AssertArgument("destination", () => near.CopyToAsync((Stream)null!));
        AssertArgument("destination", () => near.CopyToAsync(null!, 1));
        foreach (int size in (int[])[0, -1, int.MinValue])
        {
            AssertArgument("bufferSize", () => near.CopyTo(Stream.Null, size));
            AssertArgument("bufferSize", () => near.CopyToAsync(Stream.Null, size));
        }

        using var readOnly = new MemoryStream([], writable: false);
        Assert.Throws<NotSupportedException>(() => near.CopyTo(readOnly));
        await Assert.ThrowsAsync<NotSupportedException>(() => near.CopyToAsync(readOnly));
        var closed = new MemoryStream();
        await closed.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => near.CopyTo(closed));
        await AssertDisposedAsync(() => near.CopyToAsync(closed));
        Assert.Equal(Bytes(3), await near.TakeAsync(3));
    });

    [Fact]
    public Task EndRead_AndEndWrite_OfNothing_Throw() => RunAsync(async (near, _) =>
    {
        AssertArgument("asyncResult", () => near.EndRead(null!));
        AssertArgument("asyncResult", () => near.EndWrite(null!));
        Assert.Throws<ArgumentException>(() => near.EndRead(new ForeignResult()));
        Assert.Throws<ArgumentException>(() => near.EndWrite(new ForeignResult()));
        IAsyncResult write = near.BeginWrite(Bytes(1), 0, 1, null, null);
        Assert.Throws<ArgumentException>(() => near.EndRead(write));
        await OwnThread.RunAsync(() => near.EndWrite(write));
    });

    [Fact]
    public Task Members_OfSeekableStreams_AreNotSupported() => RunAsync((near, _) =>
    {
        Assert.False(near.CanSeek);
        Assert.Throws<NotSupportedException>(() => near.Length);
        Assert.Throws<NotSupportedException>(() => near.Position);
        Assert.Throws<NotSupportedException>(() => near.Position = 0);
        Assert.Throws<NotSupportedException>(() => near.SetLength(0));
        Assert.All(Enum.GetValues<SeekOrigin>(), origin => Assert.Throws<NotSupportedException>(() => near.Seek(0, origin)));
        return Task.CompletedTask;
    });

    [Fact]
    public Task Timeouts_AreNotSupported() => RunAsync((near, _) =>
    {
        Assert.False(near.CanTimeout);
        Assert.Throws<InvalidOperationException>(() => near.ReadTimeout);
        Assert.Throws<InvalidOperationException>(() => near.ReadTimeout = 1);
        Assert.Throws<InvalidOperationException>(() => near.WriteTimeout);
        Assert.Throws<InvalidOperationException>(() => near.WriteTimeout = 1);
        return Task.CompletedTask;
    });

    [Fact]
    public Task CanReadAndCanWrite_SayWhatMayStillBeCalled() => RunAsync(async (near, far) =>
    {
        Assert.Equal((true, true), (near.CanRead, near.CanWrite));
        near.CompleteWrites();
        Assert.Equal((true, false), (near.CanRead, near.CanWrite));
        Assert.Equal(0, await far.ReadAsync(new byte[1]));
        Assert.Equal((true, true), (far.CanRead, far.CanWrite));
        await near.DisposeAsync();
        Assert.Equal((false, false, false, false), (near.CanRead, near.CanWrite, near.CanSeek, near.CanTimeout));
    });

    private static void AssertArgument(string name, Action call) =>
        Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(call).ParamName);

    /// <summary>Arguments are checked before there is a task, so that whoever forgets to await it notices.</summary>
    private static void AssertArgument(string name, Func<Task> call) =>
        Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(() => { _ = call(); }).ParamName);

    private sealed class ForeignResult : IAsyncResult
    {
        public object? AsyncState => null;

        public WaitHandle AsyncWaitHandle => throw new NotSupportedException("Nobody has begun this.");

        public bool CompletedSynchronously => true;

        public bool IsCompleted => true;
    }
}
