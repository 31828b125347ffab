// Pictures that this program does not read, though Pillow or other programs do.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace edm2 {

/// What the format is called, by the first bytes, or by the name's extension for formats without a
/// mark: "Photoshop (PSD)", "JPEG XL", "Targa (TGA)", ... "" if it is none that is known.
std::string unread_picture_format(std::span<const std::byte> beginning, const std::string& name);

}  // namespace edm2
