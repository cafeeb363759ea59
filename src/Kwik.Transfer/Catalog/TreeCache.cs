using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Kwik.Data;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>
/// A directory that keeps the trees of files from one start to the next, one small file each. Whatever goes wrong with it is
/// logged and costs a reading of the file, no more. Safe for concurrent use, by several processes as well.
/// </summary>
/// <remarks>
/// A file of the cache, little-endian: "kwiktree", version (4 bytes), leaf size (4), then length (8), time of last write (8), inode
/// (8) and device (8) of the file, SHA-256 of its path, 32 bytes for each leaf, and the SHA-256 of all this. It comes into being
/// under another name, so that it is whole or not there.
/// </remarks>
internal sealed class TreeCache
{
    /// <summary>Shorter files are not kept: reading one again costs as much as reading its tree.</summary>
    public const int MinLength = 1024 * 1024;

    private const uint Version = 1;
    private const int HeaderSize = 80;
    private const string Suffix = ".tree";
    private const string TemporarySuffix = ".tree-new";
    private const UnixFileMode OthersWrite = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _directory;
    private readonly long _maxBytes;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();

    // What may still be written before the directory is looked at again; below zero: look at it first.
    private long _unchecked = -1;

    /// <param name="directory">Absolute; made when it is needed.</param>
    /// <param name="maxBytes">Of the files in it.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Where trouble goes.</param>
    public TreeCache(string directory, long maxBytes, TimeProvider time, ILogger log)
    {
        _directory = directory;
        _maxBytes = maxBytes;
        _time = time;
        _log = log;
    }

    // A file system may see no difference in time between two writes that are so close: what was written just now may be written
    // again, and look the same.
    private static TimeSpan WriteClockStep { get; } = TimeSpan.FromSeconds(2);

    // Often enough for the order of use, and seldom enough not to write with every read.
    private static TimeSpan UseNotedEvery { get; } = TimeSpan.FromHours(12);

    /// <summary>True when a file that is read from now on can be told from one that is written later.</summary>
    public bool IsSettled(FileStamp stamp) => _time.GetUtcNow().UtcDateTime - stamp.LastWriteUtc > WriteClockStep;

    /// <summary>The tree of a file that is as the stamp says; null when it is not kept.</summary>
    public ContentTree? Load(string path, FileStamp stamp)
    {
        if (stamp.Length < MinLength)
        {
            return null;
        }

        string place = PlaceOf(path);
        try
        {
            if (!File.Exists(place) || !IsPrivate())
            {
                return null;
            }

            // What has another length is no tree of this file, and not worth its memory.
            byte[] bytes = new FileInfo(place).Length == SizeOf(stamp.Length) ? File.ReadAllBytes(place) : [];
            ContentTree? tree = Decode(bytes, path, stamp, out bool isDamaged);
            if (isDamaged)
            {
                TransferLog.TreeDamaged(_log, place, path);
            }
            else if (tree is not null && _time.GetUtcNow().UtcDateTime - File.GetLastWriteTimeUtc(place) > UseNotedEvery)
            {
                File.SetLastWriteTimeUtc(place, _time.GetUtcNow().UtcDateTime);
            }

            return tree;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TransferLog.TreeCacheFailed(_log, place, e.Message);
            return null;
        }
    }

    /// <summary>Keeps a tree, if it can.</summary>
    public void Store(string path, FileStamp stamp, ContentTree tree)
    {
        if (stamp.Length < MinLength || SizeOf(stamp.Length) > _maxBytes)
        {
            return;
        }

        string place = PlaceOf(path);
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(_directory);
            }
            else
            {
                Directory.CreateDirectory(_directory, OwnerOnly | UnixFileMode.UserExecute);
            }

            if (IsPrivate())
            {
                byte[] bytes = Encode(path, stamp, tree);
                MakeRoom(bytes.Length);
                Write(place, bytes);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TransferLog.TreeCacheFailed(_log, place, e.Message);
        }
    }

    private static void Write(string place, byte[] bytes)
    {
        string temporary = $"{Path.ChangeExtension(place, null)}-{Guid.NewGuid():N}{TemporarySuffix}";
        var create = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            create.UnixCreateMode = OwnerOnly;
        }

        try
        {
            using (var file = new FileStream(temporary, create))
            {
                file.Write(bytes);
            }

            File.Move(temporary, place, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static long SizeOf(long length) =>
        HeaderSize + ((LeafHashes.CountOf(length, ContentHasher.DefaultLeafSize) + 1) * ContentRoot.Size);

    private static byte[] Encode(string path, FileStamp stamp, ContentTree tree)
    {
        var bytes = new byte[SizeOf(stamp.Length)];
        WriteHeader(bytes, path, stamp);
        tree.Leaves.Span.CopyTo(bytes.AsSpan(HeaderSize));
        SHA256.HashData(bytes.AsSpan(0, bytes.Length - ContentRoot.Size), bytes.AsSpan(bytes.Length - ContentRoot.Size));
        return bytes;
    }

    private static ContentTree? Decode(byte[] bytes, string path, FileStamp stamp, out bool isDamaged)
    {
        Span<byte> expected = stackalloc byte[HeaderSize];
        WriteHeader(expected, path, stamp);
        isDamaged = false;
        if (!bytes.AsSpan().StartsWith(expected))
        {
            // Of the file as it was before, or of another version of this program.
            return null;
        }

        ReadOnlySpan<byte> sum = bytes.AsSpan(bytes.Length - ContentRoot.Size);
        isDamaged = !SHA256.HashData(bytes.AsSpan(0, bytes.Length - ContentRoot.Size)).AsSpan().SequenceEqual(sum);
        return isDamaged ? null : new(bytes.AsMemory(HeaderSize, bytes.Length - HeaderSize - ContentRoot.Size), stamp.Length);
    }

    private static void WriteHeader(Span<byte> header, string path, FileStamp stamp)
    {
        "kwiktree"u8.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], ContentHasher.DefaultLeafSize);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], stamp.Length);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], stamp.LastWrite);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], stamp.Inode);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], stamp.Device);
        SHA256.HashData(Encoding.UTF8.GetBytes(path), header[48..]);
    }

    private string PlaceOf(string path) =>
        Path.Combine(_directory, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(path)).AsSpan(0, 16)) + Suffix);

    private bool IsPrivate()
    {
        if (OperatingSystem.IsWindows() || (File.GetUnixFileMode(_directory) & OthersWrite) == 0)
        {
            return true;
        }

        TransferLog.TreeCacheFailed(_log, _directory, "Others may write to it; change its mode to 0700.");
        return false;
    }

    /// <summary>Deletes what was used least lately, when there is too much.</summary>
    private void MakeRoom(long wanted)
    {
        lock (_gate)
        {
            _unchecked -= wanted;
            if (_unchecked >= 0)
            {
                return;
            }

            // Only what is named like ours: somebody may have named a directory that has other files, too.
            List<FileInfo> files =
            [
                .. new DirectoryInfo(_directory).EnumerateFiles()
                    .Where(file => file.Extension is Suffix or TemporarySuffix)
                    .OrderBy(file => file.LastWriteTimeUtc),
            ];
            long bytes = files.Sum(file => file.Length) + wanted;
            foreach (FileInfo file in files.TakeWhile(_ => bytes > _maxBytes))
            {
                bytes -= file.Length;
                file.Delete();
            }

            // Other processes write as well: looked at again before the limit could be passed by much.
            _unchecked = Math.Min(_maxBytes - bytes, _maxBytes / 8);
        }
    }
}
